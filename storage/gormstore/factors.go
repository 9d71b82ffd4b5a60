package gormstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	factorColumns = "id, subject, kind, name, secret, key_id, step, confirmed, created_us, used_us"
	insertFactor  = "INSERT INTO vestibule_factors (" + factorColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
	listFactors   = "SELECT " + factorColumns + " FROM vestibule_factors WHERE subject = ? ORDER BY created_us, id"
	// The update is atomic: of several uses of a step one finds the row.
	useFactor    = "UPDATE vestibule_factors SET step = ?, used_us = ?, confirmed = TRUE WHERE id = ? AND subject = ? AND step < ? AND (confirmed OR ?)"
	deleteFactor = "DELETE FROM vestibule_factors WHERE id = ? AND subject = ?"
)

// CreateFactor implements storage.Factors. It locks the account, so that the limit holds and
// deleting the account deletes the factor, too.
func (s *Store) CreateFactor(ctx context.Context, f storage.Factor, epoch int64) error {
	if err := f.Check(); err != nil {
		return err
	}
	secret := f.Secret
	if secret == nil {
		secret = []byte{} // the column is NOT NULL
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, f.Subject, epoch); err != nil {
			return err
		}
		var n int
		if err := s.row(ctx, s.dialect.bind("SELECT COUNT(*) FROM vestibule_factors WHERE subject = ?"), []any{f.Subject}, []any{&n}); err != nil {
			return err
		}
		if n >= storage.MaxFactors {
			return storage.ErrLimit
		}
		inserted, err := s.exec(ctx, s.dialect.bind(insertFactor), f.ID, f.Subject, f.Kind, f.Name, secret, f.KeyID, f.Step, f.Confirmed, micros(f.Created))
		if err == nil && inserted == 0 {
			err = storage.ErrConflict
		}
		return err
	})
}

// FactorsOf implements storage.Factors.
func (s *Store) FactorsOf(ctx context.Context, subject, kind string) (list []storage.Factor, err error) {
	if s.users.mine(subject) != nil {
		return nil, nil
	}
	err = s.rows(ctx, s.dialect.bind(listFactors), []any{subject}, func(rows *sql.Rows) error {
		var f storage.Factor
		var created, used int64
		if err := rows.Scan(&f.ID, &f.Subject, &f.Kind, &f.Name, &f.Secret, &f.KeyID, &f.Step, &f.Confirmed, &created, &used); err != nil {
			return err
		}
		if f.Created = timeOf(created); used != 0 {
			f.Used = timeOf(used)
		}
		if kind == "" || f.Kind == kind { // an account has at most storage.MaxFactors
			list = append(list, f)
		}
		return nil
	})
	return list, err
}

// UseFactor implements storage.Factors.
func (s *Store) UseFactor(ctx context.Context, u storage.FactorUse) error {
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, u.Subject, u.Epoch); err != nil {
			return err
		}
		if storage.CheckID("factor id", u.ID) != nil {
			return storage.ErrNotFound
		}
		n, err := s.exec(ctx, s.dialect.bind(useFactor), u.Step, micros(u.Now), u.ID, u.Subject, u.Step, u.Confirm)
		if err != nil || n > 0 {
			return err
		}
		var one int
		err = s.row(ctx, s.dialect.bind("SELECT 1 FROM vestibule_factors WHERE id = ? AND subject = ?"), []any{u.ID, u.Subject}, []any{&one})
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return storage.ErrNotFound
		case err != nil:
			return err
		}
		return storage.ErrConflict
	})
}

// DeleteFactor implements storage.Factors.
func (s *Store) DeleteFactor(ctx context.Context, subject, id string) error {
	if errors.Join(s.users.mine(subject), storage.CheckID("factor id", id)) != nil {
		return storage.ErrNotFound
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockOwners(ctx, subject, ""); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.dialect.bind(deleteFactor), id, subject)
		if err == nil && n == 0 {
			err = storage.ErrNotFound
		}
		return err
	})
}

// DeleteFactors implements storage.Factors.
func (s *Store) DeleteFactors(ctx context.Context, subject, kind string) (n int, err error) {
	if errors.Join(s.users.mine(subject), storage.CheckPurpose(kind)) != nil {
		return 0, nil
	}
	err = s.atomically(ctx, func(ctx context.Context) error {
		n, err = s.all(ctx, subject, "", rowSet{"vestibule_factors", "id", "subject = ? AND kind = ?", []any{subject, kind}})
		return err
	})
	return n, err
}
