package token

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// attempts is the maximum number of compare-and-swap attempts. A login tries again if a concurrent
// login of the same user came first, or if the digest exists already.
const attempts = 4

// GetOrCreate returns the subject's token. It creates a new token if the subject has none. It also
// replaces a token of an earlier epoch, and a token whose master key is no longer in the ring.
//
// Read epoch before you verify the password or another proof of the caller (see authn.Login.Epoch).
// Code that needs no password uses [Scheme.CurrentEpoch].
//
// It returns [storage.ErrStale] if the subject is unknown or disabled, or if its account changed
// after epoch was read. Any other error is a failure of the store or of the random source.
func (s *Scheme) GetOrCreate(ctx context.Context, subject string, epoch int64) (string, error) {
	return s.token(ctx, subject, epoch, false)
}

// Replace revokes the subject's token and returns a new one, in one operation. It returns the same
// errors as [Scheme.GetOrCreate].
func (s *Scheme) Replace(ctx context.Context, subject string, epoch int64) (string, error) {
	return s.token(ctx, subject, epoch, true)
}

// Revoke deletes the subject's token. It returns [storage.ErrNotFound] if there is none.
func (s *Scheme) Revoke(ctx context.Context, subject string) error {
	return s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
		err := s.store.DeleteStaticTokenOf(ctx, subject)
		if err == nil {
			s.notify(ctx, audit.TokenRevoked, subject, storage.Digest{}, 0)
		}
		return err
	})
}

// notify reports an event of a token, which is identified by its digest.
func (s *Scheme) notify(ctx context.Context, kind audit.Kind, subject string, d storage.Digest, epoch int64) {
	e := audit.Event{Kind: kind, Scheme: s.Name(), Subject: subject, Epoch: epoch}
	if !d.IsZero() {
		e.Credential = string(d[:])
	}
	s.opts.Audit.Notify(ctx, e)
}

// CurrentEpoch returns the subject's epoch, for code that needs no password, such as an
// administrator's command or a hook at registration.
func (s *Scheme) CurrentEpoch(ctx context.Context, subject string) (int64, error) {
	return s.store.SubjectEpoch(ctx, subject)
}

// IssueOnRegister is a hook for registration. It creates a token for each new user, in the
// transaction that creates the account:
//
//	checker.Register(ctx, newUser, tokens.IssueOnRegister)
func (s *Scheme) IssueOnRegister(ctx context.Context, u storage.User) error {
	epoch, err := s.CurrentEpoch(ctx, u.ID)
	if err != nil {
		return err
	}
	_, err = s.GetOrCreate(ctx, u.ID, epoch)
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
			if text, ok := s.rederive(have); ok {
				err := s.usable(ctx, have.Digest, epoch)
				if errors.Is(err, storage.ErrNotFound) {
					continue // deleted meanwhile
				}
				if err != nil {
					return "", err
				}
				return text, nil
			}
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return "", err
		}
		text, err := s.create(ctx, subject, epoch, have.Digest)
		if err == nil && fresh && !have.Digest.IsZero() {
			s.notify(ctx, audit.TokenRevoked, subject, have.Digest, have.Epoch)
		}
		if !errors.Is(err, storage.ErrConflict) {
			return text, err
		}
	}
	return "", fmt.Errorf("token: too many concurrent changes (%d attempts): %w", attempts, storage.ErrConflict)
}

// usable returns storage.ErrStale if the token would be rejected because the account changed after
// the caller read its epoch.
func (s *Scheme) usable(ctx context.Context, d storage.Digest, epoch int64) error {
	_, u, err := s.store.StaticTokenByDigest(ctx, d)
	if err == nil && credential.CheckAccount(u, epoch) != nil {
		err = storage.ErrStale
	}
	return err
}

// rederive derives the text of a stored token. It returns false if the result does not match the
// stored digest, so that only accepted tokens are returned.
func (s *Scheme) rederive(t storage.StaticToken) (string, bool) {
	k, ok := s.ring.ByID(keys.StaticToken, t.KeyID)
	if !ok {
		return "", false
	}
	text := s.derive(k, t.Subject, t.Salt)
	return text, storage.DigestOf(text) == t.Digest
}

// create replaces the token with the digest old, or none, by a new one.
func (s *Scheme) create(ctx context.Context, subject string, epoch int64, old storage.Digest) (string, error) {
	salt := make([]byte, 32)
	if _, err := io.ReadFull(s.opts.Rand, salt); err != nil {
		return "", fmt.Errorf("token: random source: %w", err)
	}
	id, k := s.ring.Newest(keys.StaticToken)
	text := s.derive(k, subject, salt)
	d := storage.DigestOf(text)
	err := s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
		err := s.store.PutStaticToken(ctx, storage.StaticToken{
			Digest: d, Subject: subject, Salt: salt, KeyID: id,
			Epoch: epoch, Created: s.opts.Clock().UTC(),
		}, old)
		if err == nil {
			s.notify(ctx, audit.TokenCreated, subject, d, epoch)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return text, nil
}
