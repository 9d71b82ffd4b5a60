package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// change runs an UPDATE of one account. what names the column in the error for a user table without
// it.
func (s *Store) change(ctx context.Context, query, what, id string, args ...any) error {
	if query == "" {
		return fmt.Errorf("gormstore: user table has no plain column for %s", what)
	}
	if !s.users.has(id) {
		return storage.ErrNotFound
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	update := func(ctx context.Context) error {
		n, err := s.exec(ctx, query, args...)
		if err == nil && n == 0 {
			err = storage.ErrNotFound
		}
		return err
	}
	if s.users.own {
		return update(ctx)
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockUser(ctx, id); err != nil {
			return notFound(err)
		}
		return update(ctx)
	})
}

// SetPassword implements storage.Accounts.
func (s *Store) SetPassword(ctx context.Context, id string, hash storage.PasswordHash) error {
	return s.revoking(ctx, endPieces, func(ctx context.Context) (bool, error) { return s.setPassword(ctx, id, hash) }, s.restOf(id))
}

// setPassword is SetPassword in a transaction; see end for more.
func (s *Store) setPassword(ctx context.Context, id string, hash storage.PasswordHash) (more bool, err error) {
	if err := s.change(ctx, s.q.setPassword, "the password", id, string(hash), id); err != nil {
		return false, err
	}
	return s.end(ctx, id)
}

// ChangePassword implements storage.Accounts. Other changes of the password, and disabling, update
// the same row, so they wait for its lock.
func (s *Store) ChangePassword(ctx context.Context, id string, epoch int64, hash storage.PasswordHash) error {
	if !s.users.has(id) {
		return storage.ErrNotFound
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	return s.revoking(ctx, endPieces, func(ctx context.Context) (bool, error) {
		if err := s.lockUser(ctx, id); err != nil {
			return false, notFound(err)
		}
		var one int
		switch err := s.row(ctx, s.q.mayHold, []any{id, epoch}, []any{&one}); {
		case errors.Is(err, sql.ErrNoRows):
			return false, s.stale(ctx)
		case err != nil:
			return false, err
		}
		return s.setPassword(ctx, id, hash)
	}, s.restOf(id))
}

// ReplaceHash implements storage.Accounts.
func (s *Store) ReplaceHash(ctx context.Context, id string, old, new storage.PasswordHash) error {
	err := s.change(ctx, s.q.replaceHash, "the password", id, string(new), id, string(old))
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if _, err := s.UserByID(ctx, id); err != nil {
		return err
	}
	return storage.ErrConflict
}

// SetActive implements storage.Accounts.
func (s *Store) SetActive(ctx context.Context, id string, active bool) error {
	return s.revoking(ctx, endPieces, func(ctx context.Context) (bool, error) {
		if err := s.change(ctx, s.q.setActive, "being active", id, active, id); err != nil {
			return false, err
		}
		if active {
			return false, nil
		}
		return s.end(ctx, id)
	}, s.restOf(id))
}

// SetRoles implements storage.Accounts. It returns an error unless UserTable.Roles is a plain
// column.
func (s *Store) SetRoles(ctx context.Context, id string, roles ...string) error {
	if err := storage.CheckRoles(roles); err != nil {
		return err
	}
	set := func(ctx context.Context) error {
		return s.change(ctx, s.q.setRoles, "roles", id, strings.Join(roles, ","), id)
	}
	if s.dialect == postgres && s.users.own { // a trigger records it
		return set(ctx)
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := set(ctx); err != nil {
			return err
		}
		return s.recordChange(ctx, changedSubject, id)
	})
}

// DeleteUser implements storage.Accounts.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.revoking(ctx, allPieces, func(ctx context.Context) (bool, error) {
		if err := s.change(ctx, s.q.deleteUser, "the id", id, id); err != nil {
			return false, err
		}
		return s.forget(ctx, id)
	}, s.leftOf(id))
}
