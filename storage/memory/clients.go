package memory

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copyClient(c storage.Client) storage.Client {
	c.Keys, c.Created = bytes.Clone(c.Keys), c.Created.UTC()
	for _, ttl := range []*time.Duration{&c.AccessTTL, &c.RefreshTTL, &c.AbsoluteTTL} {
		*ttl = ttl.Truncate(time.Microsecond)
	}
	c.Document.Fetched, c.Document.Fresh, c.Document.Changed = c.Document.Fetched.UTC(), c.Document.Fresh.UTC(), c.Document.Changed.UTC()
	for _, list := range []*[]string{&c.RedirectURIs, &c.LogoutURIs, &c.Grants, &c.Scopes, &c.Default, &c.Resources, &c.Serves} {
		*list = slices.Clone(*list)
	}
	return c
}

// ClientByID implements storage.Clients.
func (s *Store) ClientByID(ctx context.Context, id string) (c storage.Client, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if c, ok = s.clients[id]; !ok {
			return storage.ErrNotFound
		}
		c = copyClient(c)
		return nil
	})
	return c, err
}

// ListClients implements storage.Clients.
func (s *Store) ListClients(ctx context.Context, after string, limit int) (list []storage.Client, err error) {
	err = s.read(ctx, func() error {
		for id, c := range s.clients {
			if id > after {
				list = append(list, copyClient(c))
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b storage.Client) int { return strings.Compare(a.ID, b.ID) })
	return list[:min(max(limit, 0), len(list))], err
}

// CreateClient implements storage.Clients.
func (s *Store) CreateClient(ctx context.Context, c storage.Client) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if _, taken := s.clients[c.ID]; taken {
			return storage.ErrConflict
		}
		c.Revoked = time.Time{}
		put(t, s.clients, c.ID, copyClient(c))
		return nil
	})
}

// UpdateClient implements storage.Clients.
func (s *Store) UpdateClient(ctx context.Context, c storage.Client) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.changeClient(ctx, c.ID, func(storage.Client) storage.Client { return c })
}

// SetClientDisabled implements storage.Clients.
func (s *Store) SetClientDisabled(ctx context.Context, id string, disabled bool) error {
	return s.changeClient(ctx, id, func(c storage.Client) storage.Client {
		c.Disabled = disabled
		return c
	})
}

func (s *Store) changeClient(ctx context.Context, id string, change func(old storage.Client) storage.Client) error {
	return s.write(ctx, func(t *tx) error {
		old, ok := s.clients[id]
		if !ok {
			return storage.ErrNotFound
		}
		c := change(old)
		c.Created, c.Revoked = old.Created, old.Revoked
		if old.Disabled || c.Disabled {
			c.Revoked = time.UnixMicro(max(old.Epoch()+1, s.now().UnixMicro())).UTC()
			s.clearClient(t, c.ID)
			s.note(t, changed{client: c.ID})
		}
		put(t, s.clients, c.ID, copyClient(c))
		return nil
	})
}

// DeleteClient implements storage.Clients.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	return s.write(ctx, func(t *tx) error {
		if _, ok := s.clients[id]; !ok {
			return storage.ErrNotFound
		}
		drop(t, s.clients, id)
		s.clearClient(t, id)
		s.note(t, changed{client: id})
		return nil
	})
}

// clearClient removes everything that a client has: codes, tokens, families, grants, requests and
// consents.
func (s *Store) clearClient(t *tx, id string) {
	s.dropConsents(t, func(c consentID) bool { return c.client == id })
	for d, c := range s.codes {
		if c.Client == id {
			s.dropCode(t, d)
		}
	}
	s.dropDeviceGrants(t, func(g storage.DeviceGrant) bool { return g.Client == id })
	s.dropAuthRequests(t, func(a storage.AuthRequest) bool { return a.Client == id })
	for d, a := range s.access {
		if a.Client == id {
			s.dropAccess(t, d)
		}
	}
	for name, f := range s.families {
		if f.Client == id {
			s.dropFamily(t, name)
		}
	}
}

// pruneClients removes up to limit unused clients; see storage.UnusedClientAge.
func (s *Store) pruneClients(t *tx, now time.Time, limit int) (n int) {
	age := storage.UnusedClientAge(s.unused)
	if age < 0 {
		return 0
	}
	var old []string
	for id, c := range s.clients {
		if !c.Registration.IsZero() && !c.Trusted && !c.Disabled && len(c.Serves) == 0 && !slices.Contains(c.Grants, "client_credentials") && !c.Created.After(now.Add(-age)) {
			old = append(old, id)
		}
	}
	if len(old) == 0 {
		return 0
	}
	used := make(map[string]bool)
	for _, c := range s.codes {
		used[c.Client] = true
	}
	for _, f := range s.families {
		used[f.Client] = true
	}
	for c := range s.consents {
		used[c.client] = true
	}
	for _, a := range s.access {
		used[a.Client] = true
	}
	for _, g := range s.polled {
		used[g.Client] = true
	}
	for _, a := range s.requests {
		used[a.Client] = true
	}
	slices.SortFunc(old, func(a, b string) int { return s.clients[a].Created.Compare(s.clients[b].Created) })
	for _, id := range old {
		if n < limit && !used[id] {
			drop(t, s.clients, id)
			n++
		}
	}
	return n
}
