package storagetest

import (
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

// give creates an account with a token.
func (k *kit) give(name string) (storage.User, storage.StaticToken) {
	k.Helper()
	u := k.add(name)
	t := token(u.ID, k.epoch(u.ID), 1)
	k.must(k.s.PutStaticToken(k.ctx, t, storage.Digest{}))
	return u, t
}

// usable reports whether a scheme would accept the token.
func (k *kit) usable(d storage.Digest) bool {
	k.Helper()
	t, u, err := k.s.StaticTokenByDigest(k.ctx, d)
	if errors.Is(err, storage.ErrNotFound) {
		return false
	}
	k.must(err)
	return u.Active && t.Epoch == u.Epoch
}
