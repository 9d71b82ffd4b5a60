//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// published is how long a new key is published before it signs. Replicas read the keys once a minute.
const published = 65 * time.Second

// rotate creates a new signing key, as "vestibule keys rotate" does. Tokens of the old one go on to be
// accepted.
func (w *world) rotate() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // an RSA key takes long on a busy machine
	defer cancel()
	ring, err := keys.Load(w.key)
	if err != nil {
		return err
	}
	issuers, err := jwt.Issuers(ctx, w.store)
	if err != nil {
		return err
	}
	if len(issuers) == 0 {
		return errors.New("no issuer has keys")
	}
	for _, issuer := range issuers {
		signing, err := jwt.NewStoredKeys(w.store, ring, issuer, &jwt.KeyOptions{Publish: published})
		if err != nil {
			return err
		}
		// A soak can rotate again before the last key signs.
		if _, err := signing.Rotate(ctx); err != nil && !errors.Is(err, jwt.ErrPending) {
			return err
		}
	}
	return nil
}
