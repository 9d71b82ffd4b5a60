package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// signingID is the key of a signing key: its ID is unique within its purpose.
type signingID struct{ purpose, id string }

// ListSigningKeys implements storage.SigningKeys.
func (s *Store) ListSigningKeys(ctx context.Context, purpose string) (list []storage.SigningKey, err error) {
	err = s.read(ctx, func() error {
		list = s.signingKeys(purpose)
		return nil
	})
	return list, err
}

func (s *Store) signingKeys(purpose string) (list []storage.SigningKey) {
	for id, k := range s.signing {
		if id.purpose == purpose {
			k.Sealed = slices.Clone(k.Sealed)
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b storage.SigningKey) int {
		return cmp.Or(b.SignsFrom.Compare(a.SignsFrom), b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// SigningPurposes implements storage.SigningKeys.
func (s *Store) SigningPurposes(ctx context.Context) (list []string, err error) {
	err = s.read(ctx, func() error {
		for id := range s.signing {
			list = append(list, id.purpose)
		}
		slices.Sort(list)
		list = slices.Compact(list)
		return nil
	})
	return list, err
}

// CreateSigningKey implements storage.SigningKeys.
func (s *Store) CreateSigningKey(ctx context.Context, k storage.SigningKey, newest string) error {
	if err := k.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		have := ""
		if list := s.signingKeys(k.Purpose); len(list) > 0 {
			have = list[0].ID
		}
		_, taken := s.signing[signingID{k.Purpose, k.ID}]
		if taken || have != newest {
			return storage.ErrConflict
		}
		k.Sealed = slices.Clone(k.Sealed)
		k.Created, k.SignsFrom, k.Expires = k.Created.UTC(), k.SignsFrom.UTC(), k.Expires.UTC()
		put(t, s.signing, signingID{k.Purpose, k.ID}, k)
		return nil
	})
}

// ExpireSigningKey implements storage.SigningKeys.
func (s *Store) ExpireSigningKey(ctx context.Context, purpose, id string, at time.Time) error {
	return s.write(ctx, func(t *tx) error {
		k, ok := s.signing[signingID{purpose, id}]
		if !ok {
			return storage.ErrNotFound
		}
		k.Expires = at.UTC()
		put(t, s.signing, signingID{purpose, id}, k)
		return nil
	})
}
