package memory

import (
	"context"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copyCode(c storage.Code) storage.Code {
	c.Scopes, c.Resource, c.AMR = slices.Clone(c.Scopes), slices.Clone(c.Resource), slices.Clone(c.AMR)
	c.AuthTime, c.Created, c.Expires, c.Kept = c.AuthTime.UTC(), c.Created.UTC(), c.Expires.UTC(), c.Kept.UTC()
	return c
}

func copyAccess(a storage.AccessToken) storage.AccessToken {
	a.Scopes, a.Resource, a.Actors, a.AMR = slices.Clone(a.Scopes), slices.Clone(a.Resource), slices.Clone(a.Actors), slices.Clone(a.AMR)
	a.AuthTime, a.Created, a.Expires = a.AuthTime.UTC(), a.Created.UTC(), a.Expires.UTC()
	return a
}

// CreateCode implements storage.Codes.
func (s *Store) CreateCode(ctx context.Context, c storage.Code) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if !s.mayHold(c.Subject, c.Epoch) || !s.liveClient(c.Client) {
			return storage.ErrStale
		}
		if _, taken := s.codes[c.Digest]; taken {
			return storage.ErrConflict
		}
		c = copyCode(c)
		c.Used, c.Family = false, ""
		put(t, s.codes, c.Digest, c)
		join(t, s.subjectCodes, c.Subject, c.Digest, true)
		sweep(&s.sweeps.codes, s.codes, s.notAhead(c.Created), func(c storage.Code) time.Time { return c.Kept }, func(d storage.Digest) { s.dropCode(t, d) })
		return nil
	})
}

// CodeByDigest implements storage.Codes.
func (s *Store) CodeByDigest(ctx context.Context, d storage.Digest) (c storage.Code, u storage.User, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if c, ok = s.codes[d]; !ok {
			return storage.ErrNotFound
		}
		c = copyCode(c)
		u, err = s.user(c.Subject)
		return err
	})
	if err != nil {
		return storage.Code{}, storage.User{}, err
	}
	return c, u, nil
}

// ConsumeCode implements storage.Codes.
func (s *Store) ConsumeCode(ctx context.Context, d storage.Digest, family string, kept time.Time) error {
	return s.write(ctx, func(t *tx) error {
		c, ok := s.codes[d]
		switch {
		case !ok:
			return storage.ErrNotFound
		case c.Used:
			return storage.ErrConflict
		}
		c.Used, c.Family = true, family
		if c.Kept.Before(kept) {
			c.Kept = kept.UTC()
		}
		put(t, s.codes, d, c)
		return nil
	})
}

// DeleteCodes implements storage.Codes.
func (s *Store) DeleteCodes(ctx context.Context, subject, client string) error {
	return s.write(ctx, func(t *tx) error {
		for d := range s.subjectCodes[subject] {
			if c := s.codes[d]; c.Client == client && !c.Used {
				s.dropCode(t, d)
			}
		}
		return nil
	})
}

func (s *Store) dropCode(t *tx, d storage.Digest) {
	leave(t, s.subjectCodes, s.codes[d].Subject, d)
	drop(t, s.codes, d)
}

// liveClient reports whether a client is there and not disabled.
func (s *Store) liveClient(id string) bool {
	c, known := s.clients[id]
	return known && !c.Disabled
}

// AccessByDigest implements storage.AccessTokens.
func (s *Store) AccessByDigest(ctx context.Context, d storage.Digest) (st storage.AccessState, err error) {
	err = s.read(ctx, func() error {
		a, ok := s.access[d]
		client, known := s.clients[a.Client]
		if !ok || !known {
			return storage.ErrNotFound
		}
		st.Access = copyAccess(a)
		st.Ended = client.Disabled
		if a.Family != "" {
			f, there := s.families[a.Family]
			st.Ended = st.Ended || !there || f.Ended
		}
		if a.Subject != "" {
			st.User, err = s.user(a.Subject)
		}
		return err
	})
	if err != nil {
		return storage.AccessState{}, err
	}
	return st, nil
}

// CreateAccess implements storage.AccessTokens.
func (s *Store) CreateAccess(ctx context.Context, a storage.AccessToken) error {
	if err := a.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		client, known := s.clients[a.Client]
		f, there := s.families[a.Family]
		switch {
		case !known || client.Disabled || a.Family == "" && !a.ClientRevoked.Equal(client.Revoked),
			a.Family != "" && (!there || f.Ended),
			a.Subject != "" && !s.mayHold(a.Subject, a.Epoch):
			return storage.ErrStale
		}
		_, digest := s.access[a.Digest]
		_, id := s.accessIDs[a.ID]
		if digest || id {
			return storage.ErrConflict
		}
		a.ClientRevoked = time.Time{}
		put(t, s.access, a.Digest, copyAccess(a))
		put(t, s.accessIDs, a.ID, a.Digest)
		sweep(&s.sweeps.access, s.access, s.notAhead(a.Created), func(a storage.AccessToken) time.Time { return a.Expires }, func(d storage.Digest) { s.dropAccess(t, d) })
		return nil
	})
}

// SignedAccessStatus implements storage.AccessTokens.
func (s *Store) SignedAccessStatus(ctx context.Context, client, family, subject string, keys storage.BlockKeys) (u storage.User, st storage.TokenStatus, err error) {
	err = s.read(ctx, func() error {
		st = s.standing(subject, keys)
		c, known := s.clients[client]
		f, there := s.families[family]
		st.Blocked = st.Blocked || !known || c.Disabled || family != "" && (!there || f.Ended)
		if subject != "" {
			u, err = s.user(subject)
		} else {
			st.Epoch = c.Epoch()
		}
		return err
	})
	if err != nil {
		return storage.User{}, storage.TokenStatus{}, err
	}
	return u, st, nil
}

// DeleteAccess implements storage.AccessTokens.
func (s *Store) DeleteAccess(ctx context.Context, d storage.Digest) error {
	return s.write(ctx, func(t *tx) error {
		if _, ok := s.access[d]; !ok {
			return storage.ErrNotFound
		}
		s.dropAccess(t, d)
		return nil
	})
}

func (s *Store) dropAccess(t *tx, d storage.Digest) {
	drop(t, s.accessIDs, s.access[d].ID)
	drop(t, s.access, d)
}
