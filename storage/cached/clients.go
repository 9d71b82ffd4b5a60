package cached

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
)

// clientRecord is an enabled storage.Client without a password hash.
type clientRecord struct {
	head
	client storage.Client
}

// blockClient returns the name on which a client and its access tokens depend. Messages about a change
// of the client have it.
func blockClient(id string) storage.BlockKey { return storage.BlockKeyOf("client", "", id) }

func clientKey(id string) Key { return Key{Kind: Clients, Digest: storage.Digest(blockClient(id))} }

func ofClient(id string) Change { return ofBlock(blockClient(id)) }

// ClientByID implements storage.Clients. In a transaction it queries the store, which locks the client.
func (s *Store) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	if storage.CheckID("client id", id) != nil || s.bypassed(ctx, Clients) {
		return s.base.ClientByID(ctx, id)
	}
	k := clientKey(id)
	switch it, unknown := s.find(ctx, &k); {
	case it != nil:
		return ownClient(it.(*clientRecord).client), nil
	case unknown:
		return storage.Client{}, storage.ErrNotFound
	}
	return s.loadClient(ctx, k, id)
}

// loadClient does not keep a client with a chosen secret: the cache holds no password hashes, and the
// query costs little beside the hash.
func (s *Store) loadClient(ctx context.Context, k Key, id string) (storage.Client, error) {
	return load(ctx, s, k, lookup[storage.Client]{
		unknown: true,
		read:    func(ctx context.Context) (storage.Client, error) { return s.base.ClientByID(ctx, id) },
		keep: func(c *storage.Client) kept {
			out := kept{deps: names{s.stripeOfBlock(blockClient(id))}}
			if !c.Disabled && c.Password == "" && c.ID == id {
				out.item, out.size = &clientRecord{client: ownClient(*c)}, sizeOfClient(c)
			}
			return out
		},
		open: func(it item) storage.Client { return ownClient(it.(*clientRecord).client) },
		own:  ownClient,
	})
}

// ownClient returns a copy of c with its own slices.
func ownClient(c storage.Client) storage.Client {
	c.Keys = own(c.Keys)
	for _, list := range []*[]string{&c.RedirectURIs, &c.LogoutURIs, &c.Grants, &c.Scopes, &c.Default, &c.Resources, &c.Serves} {
		*list = own(*list)
	}
	return c
}

// sizeOfClient returns the estimated memory of a cached client, in bytes.
func sizeOfClient(c *storage.Client) int {
	size := recordSize + 320 + len(c.ID) + len(c.Name) + len(c.Method) + len(c.Keys)
	for _, list := range [...][]string{c.RedirectURIs, c.LogoutURIs, c.Grants, c.Scopes, c.Default, c.Resources, c.Serves} {
		for _, text := range list {
			size += len(text) + 24
		}
	}
	return size
}

// CreateClient implements storage.Clients. The ID is no longer cached as unknown in this process.
func (s *Store) CreateClient(ctx context.Context, c storage.Client) error {
	k := clientKey(c.ID)
	return s.renew(ctx, func(ctx context.Context) error { return s.base.CreateClient(ctx, c) }, Change{Key: k})
}

// UpdateClient implements storage.Clients. It removes only the client and its access tokens, because a
// client that registered itself can change its record and must not be able to empty the whole cache.
func (s *Store) UpdateClient(ctx context.Context, c storage.Client) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.UpdateClient(ctx, c) }, ofClient(c.ID))
}

// SetClientDisabled implements storage.Clients; see UpdateClient.
func (s *Store) SetClientDisabled(ctx context.Context, id string, disabled bool) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetClientDisabled(ctx, id, disabled) }, ofClient(id))
}

// DeleteClient implements storage.Clients; see UpdateClient.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteClient(ctx, id) }, ofClient(id))
}
