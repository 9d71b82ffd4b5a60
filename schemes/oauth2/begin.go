package oauth2

import (
	"context"
	"slices"

	"github.com/vestibule-auth/vestibule/storage"
)

// beginning is a grant that a user has just given.
type beginning struct {
	family storage.Family // its Subject, Scopes, Resource, Epoch, AuthTime and Data
	// resource is what the first access token is for: a part of the grant's.
	resource []string
	nonce    string
	// claim takes what the grant is given for, in the transaction that begins it; nil for
	// nothing.
	claim func(ctx context.Context, family string) error
}

// stillAllowed are the scopes of a grant that its client may have now.
func stillAllowed(scopes []string, c storage.Client) []string {
	list := []string{}
	for _, name := range scopes {
		if slices.Contains(c.Scopes, name) {
			list = append(list, name)
		}
	}
	return list
}

// begin starts a grant and makes its first tokens, all or nothing. Errors are those of claim
// and of storage.Families.
func (s *Server) begin(ctx context.Context, x exchange, b beginning) (answer, error) {
	f := b.family
	var err error
	if f.ID, err = s.id(); err != nil {
		return answer{}, err
	}
	refresh, err := s.text(refreshPrefix)
	if err != nil {
		return answer{}, err
	}
	f.Purpose, f.Client, f.Name, f.Confirm = s.purpose, x.client.ID, x.client.Name, x.refreshKey()
	f.Scopes = stillAllowed(f.Scopes, x.client)
	var a answer
	var evicted []storage.Family
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		if b.claim != nil {
			if err := b.claim(ctx, f.ID); err != nil {
				return err
			}
		}
		f, err := s.rotator.Begin(ctx, f, refresh)
		if err != nil {
			return err
		}
		if evicted, err = s.evict(ctx, f); err != nil {
			return err
		}
		// Of this token alone: another one may be for others, and by another key.
		f.Resource, f.Confirm = b.resource, x.key
		if a, err = s.access(ctx, f); err != nil {
			return err
		}
		if !s.identifies(f) {
			return nil
		}
		u, err := s.store.UserByID(ctx, f.Subject)
		if err != nil {
			return err
		}
		a.ID, err = s.idToken(ctx, f, u, b.nonce, a.Access)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	if slices.Contains(x.client.Grants, RefreshToken) {
		a.Refresh = refresh
	}
	s.tell(ctx, Event{Granted, f.Client, f.Subject, f.ID})
	for _, old := range evicted {
		s.tell(ctx, Event{Evicted, old.Client, old.Subject, old.ID})
	}
	return a, nil
}

// userGrants is how many live grants a user has of one client at most.
const userGrants = 100

// Evicted: a grant ended since its user gave the same client more than 100.
const Evicted EventKind = "evicted"

// evict ends the oldest grants of a user to a client if there are too many, and returns them.
func (s *Server) evict(ctx context.Context, f storage.Family) (evicted []storage.Family, err error) {
	list, err := s.store.ListFamilies(ctx, s.purpose, f.Subject, manyGrants)
	n := 0
	for _, old := range list { // the last created first
		if old.Client != f.Client {
			continue
		}
		if n++; n <= userGrants {
			continue
		}
		if err := s.rotator.EndFamily(ctx, old.ID); err != nil {
			return nil, err
		}
		evicted = append(evicted, old)
	}
	return evicted, err
}
