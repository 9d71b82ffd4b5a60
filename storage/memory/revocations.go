package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

var _ storage.Revocations = (*Store)(nil)

// changed is a subject or a client that was changed.
type changed struct{ subject, client string }

// RecordTokenLifetime implements storage.Revocations.
func (s *Store) RecordTokenLifetime(ctx context.Context, lifetime time.Duration) (l storage.TokenLifetimes, err error) {
	if lifetime < time.Second || lifetime > storage.MaxTokenLifetime {
		return l, fmt.Errorf("%w: token lifetime %v out of range (1s to %v)", storage.ErrInvalid, lifetime, storage.MaxTokenLifetime)
	}
	err = s.write(ctx, func(t *tx) error {
		l.Now, l.Since = s.now(), s.raised // the set cannot name accounts that do not exist
		put(t, s.lifetimes, lifetime, l.Now)
		for d, used := range s.lifetimes {
			if used.Add(d + storage.RevocationMargin).After(l.Now) {
				l.Longest = max(l.Longest, d)
			} else {
				drop(t, s.lifetimes, d)
			}
		}
		return nil
	})
	return l, err
}

// RevokedSince implements storage.Revocations.
func (s *Store) RevokedSince(ctx context.Context, since time.Time, limit int, f func(storage.Revocation)) error {
	var all []storage.Revocation
	err := s.read(ctx, func() error {
		for subject, epoch := range s.epochs {
			if at := time.UnixMicro(epoch); !at.Before(since) {
				all = append(all, storage.Revocation{Subject: subject, At: at})
			}
		}
		for c, at := range s.changes {
			if !at.Before(since) {
				all = append(all, storage.Revocation{Subject: c.subject, Client: c.client, At: at})
			}
		}
		for k := range s.blocked {
			all = append(all, storage.Revocation{Key: k})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, r := range all {
		if i == limit {
			return storage.ErrLimit
		}
		f(r)
	}
	return nil
}

// note records a change, and forgets those that concern no token any more.
func (s *Store) note(t *tx, c changed) {
	now := s.now()
	put(t, s.changes, c, now)
	looked := 0
	for other, at := range s.changes { // in random order
		if now.Sub(at) > storage.MaxTokenLifetime+storage.RevocationMargin {
			drop(t, s.changes, other)
		}
		if looked++; looked == 3 {
			return
		}
	}
}

// atLeast extends the end of an entry of the blocklist if tokens of a longer lifetime are being issued.
// The margin covers the leeway with which expired tokens are accepted.
func (s *Store) atLeast(until time.Time) time.Time {
	for d := range s.lifetimes {
		if end := s.now().Add(d + storage.RevocationMargin); end.After(until) {
			until = end
		}
	}
	return until
}
