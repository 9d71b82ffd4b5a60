package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// refresh is a refresh token with its successor's digest.
type refresh struct {
	storage.Refresh
	next storage.Digest
}

func copyFamily(f storage.Family) storage.Family {
	f.Scopes, f.Resource, f.AMR, f.Data = slices.Clone(f.Scopes), slices.Clone(f.Resource), slices.Clone(f.AMR), slices.Clone(f.Data)
	f.AuthTime, f.Created, f.Expires = f.AuthTime.UTC(), f.Created.UTC(), f.Expires.UTC()
	return f
}

func copyRefresh(r storage.Refresh) storage.Refresh {
	r.Sealed = slices.Clone(r.Sealed)
	r.Created, r.Expires = r.Created.UTC(), r.Expires.UTC()
	return r
}

// CreateFamily implements storage.Families.
func (s *Store) CreateFamily(ctx context.Context, f storage.Family, first storage.Refresh) error {
	if err := f.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if client := s.clients[f.Client]; !s.mayHold(f.Subject, f.Epoch) || f.Client != "" && (!s.liveClient(f.Client) || !f.ClientRevoked.Equal(client.Revoked)) {
			return storage.ErrStale
		}
		_, idTaken := s.families[f.ID]
		_, taken := s.refreshes[first.Digest]
		if idTaken || taken {
			return storage.ErrConflict
		}
		f = copyFamily(f)
		f.Ended, f.ClientRevoked = false, time.Time{}
		put(t, s.families, f.ID, f)
		join(t, s.began, f.Subject, f.ID, true)
		s.addRefresh(t, f.ID, first)
		return nil
	})
}

func (s *Store) addRefresh(t *tx, family string, r storage.Refresh) {
	kept := copyRefresh(storage.Refresh{Digest: r.Digest, Family: family, Created: r.Created, Expires: r.Expires})
	put(t, s.refreshes, r.Digest, refresh{Refresh: kept})
	put(t, s.chain, family, append(s.chain[family], r.Digest))
}

// RefreshByDigest implements storage.Families.
func (s *Store) RefreshByDigest(ctx context.Context, d storage.Digest) (st storage.RefreshState, err error) {
	err = s.read(ctx, func() error {
		r, ok := s.refreshes[d]
		if !ok {
			return storage.ErrNotFound
		}
		st.Refresh = copyRefresh(r.Refresh)
		st.Family = copyFamily(s.families[r.Family])
		st.SuccessorClaimed = !s.refreshes[r.next].Claimed.IsZero()
		st.Now = s.now().UTC()
		st.User, err = s.user(st.Family.Subject)
		return err
	})
	if err != nil {
		return storage.RefreshState{}, err
	}
	return st, nil
}

// ClaimRefresh implements storage.Families.
func (s *Store) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	return s.write(ctx, func(t *tx) error {
		r, ok := s.refreshes[c.Digest]
		if !ok {
			return storage.ErrNotFound
		}
		f := s.families[r.Family]
		if f.Ended || !s.mayHold(f.Subject, f.Epoch) {
			return storage.ErrStale
		}
		if _, taken := s.refreshes[c.Next.Digest]; taken || !r.Claimed.IsZero() {
			return storage.ErrConflict
		}
		if int64(len(s.chain[r.Family])) > storage.MaxExchanges(c.Next.Created.Sub(f.Created)) {
			return storage.ErrLimit
		}
		now := s.now().UTC()
		r.Claimed, r.next = now, c.Next.Digest
		if c.Window > 0 && len(c.Sealed) > 0 {
			r.Sealed, r.SealedUntil = slices.Clone(c.Sealed), now.Add(c.Window)
		}
		put(t, s.refreshes, c.Digest, r)
		s.erase(t, s.previous(r.Family))
		s.addRefresh(t, r.Family, c.Next)
		return nil
	})
}

// previous returns the token before the family's newest. No older one has a sealed answer:
// the claim of a token erases that of the one before it.
func (s *Store) previous(family string) refresh {
	chain := s.chain[family]
	if len(chain) < 2 {
		return refresh{}
	}
	return s.refreshes[chain[len(chain)-2]]
}

func (s *Store) erase(t *tx, r refresh) {
	if r.Sealed != nil {
		r.Sealed, r.SealedUntil = nil, time.Time{}
		put(t, s.refreshes, r.Digest, r)
	}
}

// CloseGraceWindow implements storage.Families.
func (s *Store) CloseGraceWindow(ctx context.Context, family string, before time.Time) error {
	return s.write(ctx, func(t *tx) error {
		if r := s.previous(family); r.Sealed != nil && !r.GraceClosed && !r.Claimed.After(before) {
			r.GraceClosed = true
			put(t, s.refreshes, r.Digest, r)
		}
		return nil
	})
}

// EndFamily implements storage.Families.
func (s *Store) EndFamily(ctx context.Context, id string, blockUntil time.Time) error {
	return s.write(ctx, func(t *tx) error {
		f, ok := s.families[id]
		if !ok {
			return storage.ErrNotFound
		}
		f.Ended = true
		put(t, s.families, id, f)
		s.erase(t, s.previous(id))
		s.block(t, blockUntil, storage.BlockKeyOf(storage.BlockSID, "", id))
		return nil
	})
}

// liveFamilies calls f with each family of the subject that has not ended and has its present epoch.
func (s *Store) liveFamilies(purpose, subject string, f func(*storage.Family)) {
	for id := range s.began[subject] {
		if v := s.families[id]; s.isLive(&v, purpose, subject) {
			f(&v)
		}
	}
}

func (s *Store) isLive(f *storage.Family, purpose, subject string) bool {
	return f.Purpose == purpose && f.Subject == subject && !f.Ended && f.Epoch == s.epochOf(subject)
}

// ListFamilies implements storage.Families.
func (s *Store) ListFamilies(ctx context.Context, purpose, subject string, after storage.FamilyPlace, limit int) ([]storage.Family, error) {
	return s.listFamilies(ctx, purpose, subject, nil, after, 0, limit)
}

// ListFamiliesOf implements storage.Families.
func (s *Store) ListFamiliesOf(ctx context.Context, purpose, subject, client string, skip, limit int) ([]storage.Family, error) {
	return s.listFamilies(ctx, purpose, subject, &client, storage.FamilyPlace{}, skip, limit)
}

// listFamilies lists the families of one client, or of all if client is nil.
func (s *Store) listFamilies(ctx context.Context, purpose, subject string, client *string, after storage.FamilyPlace, skip, limit int) (list []storage.Family, err error) {
	err = s.read(ctx, func() error {
		s.liveFamilies(purpose, subject, func(f *storage.Family) {
			if (client == nil || f.Client == *client) && after.Before(f.Place()) {
				list = append(list, *f)
			}
		})
		slices.SortFunc(list, func(a, b storage.Family) int {
			return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
		})
		list = list[min(max(skip, 0), len(list)):]
		list = list[:min(max(limit, 0), len(list))]
		for i, f := range list {
			list[i] = copyFamily(f)
		}
		return nil
	})
	return list, err
}

// FamilyByID implements storage.Families.
func (s *Store) FamilyByID(ctx context.Context, purpose, subject, id string) (f storage.Family, err error) {
	err = s.read(ctx, func() error {
		v, ok := s.families[id]
		if !ok || !s.isLive(&v, purpose, subject) {
			return storage.ErrNotFound
		}
		f = copyFamily(v)
		return nil
	})
	return f, err
}

// CountFamilies implements storage.Families.
func (s *Store) CountFamilies(ctx context.Context, purpose, subject string) (n storage.FamilyCount, err error) {
	type client struct {
		families int
		oldest   time.Time
	}
	err = s.read(ctx, func() error {
		clients := map[string]client{}
		s.liveFamilies(purpose, subject, func(f *storage.Family) {
			c, ok := clients[f.Client]
			if !ok || f.Created.Before(c.oldest) {
				c.oldest = f.Created
			}
			c.families++
			clients[f.Client] = c
			n.Total++
		})
		for name, c := range clients {
			if first := clients[n.Client]; cmp.Or(n.Most-c.families, c.oldest.Compare(first.oldest), strings.Compare(name, n.Client)) < 0 {
				n.Client, n.Most = name, c.families
			}
		}
		return nil
	})
	return n, err
}

// dropFamily removes a family with all its tokens.
func (s *Store) dropFamily(t *tx, id string) {
	for _, d := range s.chain[id] {
		drop(t, s.refreshes, d)
	}
	subject := s.families[id].Subject
	drop(t, s.chain, id)
	drop(t, s.families, id)
	leave(t, s.began, subject, id)
}
