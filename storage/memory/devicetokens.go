package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copyDevice(t storage.DeviceToken) storage.DeviceToken {
	t.Scopes = slices.Clone(t.Scopes)
	t.Created, t.Expires, t.LastUsed, t.Max = t.Created.UTC(), t.Expires.UTC(), t.LastUsed.UTC(), t.Max.UTC()
	return t
}

// DeviceTokenByDigest implements storage.DeviceTokens.
func (s *Store) DeviceTokenByDigest(ctx context.Context, d storage.Digest) (tok storage.DeviceToken, u storage.User, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if tok, ok = s.devices[d]; !ok {
			return storage.ErrNotFound
		}
		u, err = s.user(tok.Subject)
		return err
	})
	if err != nil {
		return storage.DeviceToken{}, storage.User{}, err
	}
	return copyDevice(tok), u, nil
}

// ListDeviceTokens implements storage.DeviceTokens.
func (s *Store) ListDeviceTokens(ctx context.Context, subject string, limit int) (list []storage.DeviceToken, err error) {
	err = s.read(ctx, func() error {
		list = s.devicesOf(subject)
		return nil
	})
	slices.SortFunc(list, func(a, b storage.DeviceToken) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return list[:min(max(limit, 0), len(list))], err
}

// devicesOf returns copies of the subject's tokens of its present epoch, the oldest
// first. The caller holds the lock.
func (s *Store) devicesOf(subject string) (list []storage.DeviceToken) {
	for _, d := range s.held[subject] {
		if t := s.devices[d]; t.Epoch == s.epochs[subject] {
			list = append(list, copyDevice(t))
		}
	}
	slices.SortFunc(list, func(a, b storage.DeviceToken) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// CreateDeviceToken implements storage.DeviceTokens.
func (s *Store) CreateDeviceToken(ctx context.Context, tok storage.DeviceToken, l storage.DeviceLimit) (evicted []storage.DeviceToken, err error) {
	if err := tok.Check(); err != nil {
		return nil, err
	}
	err = s.write(ctx, func(t *tx) error {
		if !s.mayHold(tok.Subject, tok.Epoch) {
			return storage.ErrStale
		}
		if _, taken := s.devices[tok.Digest]; taken {
			return storage.ErrConflict
		}
		if _, taken := s.held[tok.Subject][tok.ID]; taken {
			return storage.ErrConflict
		}
		if l.Max > 0 {
			live := slices.DeleteFunc(s.devicesOf(tok.Subject), func(t storage.DeviceToken) bool { return t.Expired(l.Now) })
			if len(live) >= l.Max && !l.Evict {
				return storage.ErrLimit
			}
			evicted = live[:max(0, len(live)-l.Max+1)]
		}
		for _, old := range evicted {
			s.dropDevice(t, old.Digest)
		}
		put(t, s.devices, tok.Digest, copyDevice(tok))
		join(t, s.held, tok.Subject, tok.ID, tok.Digest)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return evicted, nil
}

// mayHold reports whether the subject exists, is active, and has the epoch. The
// caller holds the lock.
func (s *Store) mayHold(subject string, epoch int64) bool {
	u, ok := s.users[subject]
	return ok && u.Active && s.epochs[subject] == epoch
}

func (s *Store) dropDevice(t *tx, d storage.Digest) {
	tok := s.devices[d]
	drop(t, s.devices, d)
	leave(t, s.held, tok.Subject, tok.ID)
}

// TouchDeviceToken implements storage.DeviceTokens.
func (s *Store) TouchDeviceToken(ctx context.Context, d storage.Digest, used, expires, before time.Time) (touched bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		tok, ok := s.devices[d]
		if !ok || tok.Expired(used) || tok.LastUsed.After(before) {
			return nil
		}
		tok.LastUsed = used.UTC()
		if !tok.Max.IsZero() && expires.After(tok.Max) {
			expires = tok.Max
		}
		if !tok.Expires.IsZero() && expires.After(tok.Expires) {
			tok.Expires = expires.UTC()
		}
		put(t, s.devices, d, tok)
		touched = true
		return nil
	})
	return touched && err == nil, err
}

// DeleteDeviceToken implements storage.DeviceTokens.
func (s *Store) DeleteDeviceToken(ctx context.Context, subject, id string) error {
	return s.write(ctx, func(t *tx) error {
		d, ok := s.held[subject][id]
		if !ok {
			return storage.ErrNotFound
		}
		s.dropDevice(t, d)
		return nil
	})
}

// DeleteDeviceTokensOf implements storage.DeviceTokens.
func (s *Store) DeleteDeviceTokensOf(ctx context.Context, subject, keep string) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		for id, d := range s.held[subject] {
			if keep == "" || id != keep {
				s.dropDevice(t, d)
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
