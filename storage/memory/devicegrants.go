package memory

import (
	"context"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copyDeviceGrant(g storage.DeviceGrant) storage.DeviceGrant {
	g.Scopes, g.Resource, g.AMR = slices.Clone(g.Scopes), slices.Clone(g.Resource), slices.Clone(g.AMR)
	g.Polled, g.AuthTime, g.Created, g.Expires = g.Polled.UTC(), g.AuthTime.UTC(), g.Created.UTC(), g.Expires.UTC()
	return g
}

// CreateDeviceGrant implements storage.DeviceGrants.
func (s *Store) CreateDeviceGrant(ctx context.Context, g storage.DeviceGrant) error {
	if err := g.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if c, known := s.clients[g.Client]; !known || c.Disabled {
			return storage.ErrStale
		}
		_, digest := s.polled[g.Digest]
		_, code := s.userCodes[g.UserCode]
		if digest || code {
			return storage.ErrConflict
		}
		g = copyDeviceGrant(g)
		g.State, g.Polled, g.Slow, g.Subject, g.Epoch, g.AuthTime = storage.DevicePending, time.Time{}, false, "", 0, time.Time{}
		g.ACR, g.AMR = "", nil
		put(t, s.polled, g.Digest, g)
		put(t, s.userCodes, g.UserCode, g.Digest)
		sweep(&s.sweeps.devices, s.polled, s.notAhead(g.Created), func(g storage.DeviceGrant) time.Time { return g.Expires }, func(d storage.Digest) {
			drop(t, s.userCodes, s.polled[d].UserCode)
			drop(t, s.polled, d)
		})
		return nil
	})
}

// DeviceGrantByUserCode implements storage.DeviceGrants.
func (s *Store) DeviceGrantByUserCode(ctx context.Context, code storage.MAC) (g storage.DeviceGrant, err error) {
	err = s.read(ctx, func() error {
		d, ok := s.userCodes[code]
		if !ok {
			return storage.ErrNotFound
		}
		g = copyDeviceGrant(s.polled[d])
		return nil
	})
	return g, err
}

// DecideDeviceGrant implements storage.DeviceGrants.
func (s *Store) DecideDeviceGrant(ctx context.Context, d storage.DeviceDecision) error {
	if err := d.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		g, ok := s.polled[d.Digest]
		switch {
		case !s.mayHold(d.Subject, d.Epoch):
			return storage.ErrStale
		case !ok:
			return storage.ErrNotFound
		case g.State != storage.DevicePending || g.Expired(d.Now):
			return storage.ErrConflict
		}
		g.State, g.Subject, g.Epoch, g.AuthTime = storage.DeviceDenied, d.Subject, d.Epoch, d.AuthTime.UTC()
		g.ACR, g.AMR = d.ACR, slices.Clone(d.AMR)
		if d.Approve {
			g.State = storage.DeviceApproved
		}
		put(t, s.polled, d.Digest, g)
		return nil
	})
}

// PollDeviceGrant implements storage.DeviceGrants.
func (s *Store) PollDeviceGrant(ctx context.Context, d storage.Digest, client string, now time.Time) (g storage.DeviceGrant, err error) {
	err = s.write(ctx, func(t *tx) error {
		var ok bool
		if g, ok = s.polled[d]; !ok || g.Client != client {
			return storage.ErrNotFound
		}
		if g.State == storage.DevicePending && !g.Expired(now) {
			if g.Slow = !g.Polled.IsZero() && now.Before(g.Polled.Add(g.Interval)); g.Slow {
				g.Interval += storage.SlowDownIncrement
			}
			g.Polled = now.UTC()
			put(t, s.polled, d, g)
		}
		g = copyDeviceGrant(g)
		return nil
	})
	if err != nil {
		return storage.DeviceGrant{}, err
	}
	return g, nil
}

// ConsumeDeviceGrant implements storage.DeviceGrants.
func (s *Store) ConsumeDeviceGrant(ctx context.Context, d storage.Digest, now time.Time) error {
	return s.write(ctx, func(t *tx) error {
		g, ok := s.polled[d]
		switch {
		case !ok:
			return storage.ErrNotFound
		case g.State != storage.DeviceApproved || g.Expired(now):
			return storage.ErrConflict
		}
		g.State = storage.DeviceClaimed
		put(t, s.polled, d, g)
		return nil
	})
}

// dropDeviceGrants removes the grants that match.
func (s *Store) dropDeviceGrants(t *tx, match func(storage.DeviceGrant) bool) {
	for d, g := range s.polled {
		if match(g) {
			drop(t, s.userCodes, g.UserCode)
			drop(t, s.polled, d)
		}
	}
}

// tries is a counter of attempts.
type tries struct {
	n    int
	ends time.Time
}

// CountAttempt implements storage.Attempts.
func (s *Store) CountAttempt(ctx context.Context, name storage.MAC, now, until time.Time) (n int, ends time.Time, err error) {
	err = s.write(ctx, func(t *tx) error {
		c := s.tries[name]
		if !c.ends.After(now) || c.ends.After(until.Add(storage.ClockSkew)) {
			c = tries{0, until.UTC()}
		}
		c.n++
		put(t, s.tries, name, c)
		sweep(&s.sweeps.tries, s.tries, s.notAhead(now), func(c tries) time.Time { return c.ends }, func(m storage.MAC) { drop(t, s.tries, m) })
		n, ends = c.n, c.ends
		return nil
	})
	return n, ends, err
}

// ForgiveAttempt implements storage.Attempts.
func (s *Store) ForgiveAttempt(ctx context.Context, name storage.MAC) error {
	return s.write(ctx, func(t *tx) error {
		if c, ok := s.tries[name]; ok && c.n > 0 {
			c.n--
			put(t, s.tries, name, c)
		}
		return nil
	})
}

// DeleteDeviceGrants implements storage.DeviceGrants.
func (s *Store) DeleteDeviceGrants(ctx context.Context, subject, client string) error {
	return s.write(ctx, func(t *tx) error {
		s.dropDeviceGrants(t, func(g storage.DeviceGrant) bool {
			return subject != "" && g.Subject == subject && g.Client == client && g.State == storage.DeviceApproved
		})
		return nil
	})
}
