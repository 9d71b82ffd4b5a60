package memory

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// OneTimeTokenByDigest implements storage.OneTimeTokens.
func (s *Store) OneTimeTokenByDigest(ctx context.Context, d storage.Digest) (t storage.OneTimeToken, u storage.User, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if t, ok = s.onetimes[d]; !ok {
			return storage.ErrNotFound
		}
		u, err = s.user(t.Subject)
		return err
	})
	if err != nil {
		return storage.OneTimeToken{}, storage.User{}, err
	}
	return t, u, nil
}

// CreateOneTimeToken implements storage.OneTimeTokens.
func (s *Store) CreateOneTimeToken(ctx context.Context, v storage.OneTimeToken) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if !s.mayHold(v.Subject, v.Epoch) {
			return storage.ErrStale
		}
		if have, taken := s.onetimes[v.Digest]; taken && (have.Subject != v.Subject || have.Purpose != v.Purpose) {
			return storage.ErrConflict
		}
		s.dropPurpose(t, v.Subject, v.Purpose)
		v.Created, v.Expires = v.Created.UTC(), v.Expires.UTC()
		put(t, s.onetimes, v.Digest, v)
		join(t, s.userOneTimes, v.Subject, v.Digest, true)
		sweep(&s.sweeps.onetimes, s.onetimes, s.notAhead(v.Created), func(v storage.OneTimeToken) time.Time { return v.Expires }, func(d storage.Digest) { s.dropOneTime(t, d) })
		return nil
	})
}

// ConsumeOneTimeToken implements storage.OneTimeTokens.
func (s *Store) ConsumeOneTimeToken(ctx context.Context, v storage.OneTimeToken) error {
	return s.write(ctx, func(t *tx) error {
		if !s.mayHold(v.Subject, v.Epoch) {
			return storage.ErrStale
		}
		if have, ok := s.onetimes[v.Digest]; !ok || have.Subject != v.Subject || have.Purpose != v.Purpose {
			return storage.ErrNotFound
		}
		s.dropOneTime(t, v.Digest)
		return nil
	})
}

// ListOneTimes implements storage.OneTimeTokens.
func (s *Store) ListOneTimes(ctx context.Context, subject string) (list []storage.OneTimeToken, err error) {
	err = s.read(ctx, func() error {
		for d := range s.userOneTimes[subject] {
			list = append(list, s.onetimes[d])
		}
		return nil
	})
	return list, err
}

// DeleteOneTimeTokens implements storage.OneTimeTokens.
func (s *Store) DeleteOneTimeTokens(ctx context.Context, subject, purpose string) error {
	return s.write(ctx, func(t *tx) error {
		s.dropPurpose(t, subject, purpose)
		return nil
	})
}

func (s *Store) dropPurpose(t *tx, subject, purpose string) {
	for d := range s.userOneTimes[subject] {
		if s.onetimes[d].Purpose == purpose {
			s.dropOneTime(t, d)
		}
	}
}

func (s *Store) dropOneTime(t *tx, d storage.Digest) {
	subject := s.onetimes[d].Subject
	drop(t, s.onetimes, d)
	leave(t, s.userOneTimes, subject, d)
}
