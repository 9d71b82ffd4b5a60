package token

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/vestibule-auth/vestibule/storage"
)

// attempts bounds the compare-and-swap loops: two logins of one user at once make
// one of them try again, and so does a digest that is taken.
const attempts = 4

// Token returns the subject's token: the one it has, or a new one where it has
// none, where the master key that made it left the ring, or where it ended with
// an earlier epoch. epoch is the subject's epoch as read before whatever entitles
// the caller was verified; for an administrator, see Current.
//
// storage.ErrStale: the subject is absent, disabled, or its epoch moved on. Any
// other error means that the store, or the source of random bytes, failed.
func (s *Scheme) Token(ctx context.Context, subject string, epoch int64) (string, error) {
	return s.token(ctx, subject, epoch, false)
}

// Reset ends the subject's token and returns a new one, as one change. Errors are
// those of Token.
func (s *Scheme) Reset(ctx context.Context, subject string, epoch int64) (string, error) {
	return s.token(ctx, subject, epoch, true)
}

// Revoke deletes the subject's token. storage.ErrNotFound: it has none.
func (s *Scheme) Revoke(ctx context.Context, subject string) error {
	return s.store.DeleteStaticTokenOf(ctx, subject)
}

// Current returns the subject's epoch, for a caller that is entitled by itself,
// such as an administrator's command or the hook of a registration.
func (s *Scheme) Current(ctx context.Context, subject string) (int64, error) {
	return s.store.SubjectEpoch(ctx, subject)
}

// Mint is a hook for a registration that gives each new user a token, in the
// transaction that creates the account:
//
//	checker.Register(ctx, newUser, tokens.Mint)
func (s *Scheme) Mint(ctx context.Context, u storage.User) error {
	epoch, err := s.Current(ctx, u.ID)
	if err != nil {
		return err
	}
	_, err = s.Token(ctx, u.ID, epoch)
	return err
}

func (s *Scheme) token(ctx context.Context, subject string, epoch int64, fresh bool) (string, error) {
	if err := storage.CheckID("subject", subject); err != nil {
		return "", err
	}
	for range attempts {
		have, err := s.store.StaticTokenOf(ctx, subject)
		switch {
		case err == nil && !fresh && have.Epoch == epoch:
			if text, ok := s.again(have); ok {
				err := s.usable(ctx, have.Digest, epoch)
				if errors.Is(err, storage.ErrNotFound) {
					continue // deleted since it was read
				}
				if err != nil {
					return "", err
				}
				return text, nil
			}
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return "", err
		}
		text, err := s.mint(ctx, subject, epoch, have.Digest)
		if !errors.Is(err, storage.ErrConflict) {
			return text, err
		}
	}
	return "", fmt.Errorf("token: no token after %d attempts: %w", attempts, storage.ErrConflict)
}

// usable returns storage.ErrStale where the token would be refused, as it is when
// the subject's epoch moved on after the caller read it.
func (s *Scheme) usable(ctx context.Context, d storage.Digest, epoch int64) error {
	_, u, err := s.store.StaticTokenByDigest(ctx, d)
	if err == nil && (!u.Active || u.Epoch != epoch) {
		err = storage.ErrStale
	}
	return err
}

// again derives the text of a stored token. It reports false where that is not
// possible any more: what is returned is always a token that would be accepted.
func (s *Scheme) again(t storage.StaticToken) (string, bool) {
	k, ok := s.ring.ByID(purpose, t.KeyID)
	if !ok {
		return "", false
	}
	text := s.derive(k, t.Subject, t.Salt)
	return text, storage.DigestOf(text) == t.Digest
}

// mint exchanges the token that has the digest old, or none, for a new one.
func (s *Scheme) mint(ctx context.Context, subject string, epoch int64, old storage.Digest) (string, error) {
	salt := make([]byte, 32)
	if _, err := io.ReadFull(s.opts.Rand, salt); err != nil {
		return "", fmt.Errorf("token: no random bytes: %w", err)
	}
	id, k := s.ring.Newest(purpose)
	text := s.derive(k, subject, salt)
	err := s.store.PutStaticToken(ctx, storage.StaticToken{
		Digest: storage.DigestOf(text), Subject: subject, Salt: salt, KeyID: id,
		Epoch: epoch, Created: s.opts.Clock().UTC(),
	}, old)
	if err != nil {
		return "", err
	}
	return text, nil
}
