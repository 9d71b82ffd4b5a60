package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// linkKey is the key of a link.
type linkKey struct{ issuer, foreign string }

// LinkOf implements storage.Links.
func (s *Store) LinkOf(ctx context.Context, issuer, foreign string) (l storage.Link, u storage.User, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if l, ok = s.links[linkKey{issuer, foreign}]; !ok {
			return storage.ErrNotFound
		}
		if u, err = s.user(l.Subject); err != nil {
			l = storage.Link{}
		}
		return err
	})
	return l, u, err
}

// CreateLink implements storage.Links.
func (s *Store) CreateLink(ctx context.Context, l storage.Link, epoch int64) error {
	if err := l.Check(); err != nil {
		return err
	}
	l.Created = l.Created.UTC()
	return s.write(ctx, func(t *tx) error {
		if !s.mayHold(l.Subject, epoch) {
			return storage.ErrStale
		}
		have := s.linksOf(l.Subject)
		if _, taken := s.links[linkKey{l.Issuer, l.Foreign}]; taken || slices.ContainsFunc(have, func(o storage.Link) bool { return o.ID == l.ID }) {
			return storage.ErrConflict
		}
		if len(have) >= storage.MaxLinks {
			return storage.ErrLimit
		}
		put(t, s.links, linkKey{l.Issuer, l.Foreign}, l)
		return nil
	})
}

// linksOf returns the links of a subject, the oldest first. The caller holds the lock.
func (s *Store) linksOf(subject string) (list []storage.Link) {
	for _, l := range s.links {
		if l.Subject == subject {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b storage.Link) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// ListLinks implements storage.Links.
func (s *Store) ListLinks(ctx context.Context, subject string) (list []storage.Link, err error) {
	err = s.read(ctx, func() error {
		list = s.linksOf(subject)
		return nil
	})
	return list, err
}

// DeleteLink implements storage.Links.
func (s *Store) DeleteLink(ctx context.Context, subject, id string) error {
	return s.write(ctx, func(t *tx) error {
		for _, l := range s.linksOf(subject) {
			if l.ID == id {
				drop(t, s.links, linkKey{l.Issuer, l.Foreign})
				s.end(t, subject, false)
				return nil
			}
		}
		return storage.ErrNotFound
	})
}

func (s *Store) dropLinks(t *tx, subject string) {
	for _, l := range s.linksOf(subject) {
		drop(t, s.links, linkKey{l.Issuer, l.Foreign})
	}
}
