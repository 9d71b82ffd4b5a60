package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copyFactor(f storage.Factor) storage.Factor {
	f.Secret = slices.Clone(f.Secret)
	f.Created, f.Used = f.Created.UTC(), f.Used.UTC()
	return f
}

// CreateFactor implements storage.Factors.
func (s *Store) CreateFactor(ctx context.Context, f storage.Factor, epoch int64) error {
	if err := f.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if !s.mayHold(f.Subject, epoch) {
			return storage.ErrStale
		}
		if _, taken := s.factors[f.ID]; taken {
			return storage.ErrConflict
		}
		if len(s.factorsOf(f.Subject, "")) >= storage.MaxFactors {
			return storage.ErrLimit
		}
		f = copyFactor(f)
		f.Used = time.Time{}
		put(t, s.factors, f.ID, f)
		return nil
	})
}

func (s *Store) factorsOf(subject, kind string) (list []storage.Factor) {
	for _, f := range s.factors {
		if f.Subject == subject && (kind == "" || f.Kind == kind) {
			list = append(list, copyFactor(f))
		}
	}
	slices.SortFunc(list, func(a, b storage.Factor) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// FactorsOf implements storage.Factors.
func (s *Store) FactorsOf(ctx context.Context, subject, kind string) (list []storage.Factor, err error) {
	err = s.read(ctx, func() error {
		list = s.factorsOf(subject, kind)
		return nil
	})
	return list, err
}

// UseFactor implements storage.Factors.
func (s *Store) UseFactor(ctx context.Context, u storage.FactorUse) error {
	return s.write(ctx, func(t *tx) error {
		f, ok := s.factors[u.ID]
		switch {
		case !s.mayHold(u.Subject, u.Epoch):
			return storage.ErrStale
		case !ok || f.Subject != u.Subject:
			return storage.ErrNotFound
		case f.Step >= u.Step || !f.Confirmed && !u.Confirm:
			return storage.ErrConflict
		}
		f.Step, f.Used, f.Confirmed = u.Step, u.Now.UTC(), true
		put(t, s.factors, f.ID, f)
		return nil
	})
}

// DeleteFactor implements storage.Factors.
func (s *Store) DeleteFactor(ctx context.Context, subject, id string) error {
	return s.write(ctx, func(t *tx) error {
		if f, ok := s.factors[id]; !ok || f.Subject != subject {
			return storage.ErrNotFound
		}
		drop(t, s.factors, id)
		return nil
	})
}

// DeleteFactors implements storage.Factors.
func (s *Store) DeleteFactors(ctx context.Context, subject, kind string) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		n = 0
		for id, f := range s.factors {
			if f.Subject == subject && f.Kind == kind {
				drop(t, s.factors, id)
				n++
			}
		}
		return nil
	})
	return n, err
}

// dropFactors removes the factors of a deleted account.
func (s *Store) dropFactors(t *tx, subject string) {
	for id, f := range s.factors {
		if f.Subject == subject {
			drop(t, s.factors, id)
		}
	}
}
