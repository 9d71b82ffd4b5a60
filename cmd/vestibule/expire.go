package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func expireKeys(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	switch id, all := c.String("id"), c.Bool("all"); {
	case all && (id != "" || c.String("issuer") != ""):
		return errors.New("-all is set with -id or -issuer (-all revokes the keys of all issuers)")
	case all:
		return expireAll(ctx, c, db)
	case id == "":
		return errors.New("no key given (-issuer ISSUER -id ID, or -all)")
	}
	return expireKey(ctx, c, db)
}

// expireAll revokes all signing keys of all purposes, in one transaction. It does not need the master
// key, because nothing is decrypted.
func expireAll(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	r, err := newRecorder(db)
	if err != nil {
		return err
	}
	n := 0
	err = r.change(ctx, func(ctx context.Context) error {
		n = 0
		purposes, err := db.SigningPurposes(ctx)
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		for _, purpose := range purposes {
			list, err := db.ListSigningKeys(ctx, purpose)
			if err != nil {
				return err
			}
			for _, row := range list {
				if !row.Expires.IsZero() && !now.Before(row.Expires) {
					continue
				}
				if err := db.ExpireSigningKey(ctx, purpose, row.ID, now); err != nil {
					return err
				}
				r.note(ctx, audit.Event{Kind: audit.KeyRotated, Credential: row.ID}, "expired")
				n++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "%d keys have expired; servers reject them within a minute and create new keys when they start\n", n)
	return nil
}

func expireKey(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	k, err := storedKeys(c, db)
	if err != nil {
		return err
	}
	id := c.String("id")
	err = recorded(ctx, db, audit.Event{Kind: audit.KeyRotated, Credential: id}, "expired", func(ctx context.Context) error {
		return k.Expire(ctx, id)
	})
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("issuer %s has no key %s", c.String("issuer"), id)
	} else if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s has expired; servers reject it within a minute\n", id)
	return nil
}
