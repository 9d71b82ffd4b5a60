package gormstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// userRow is a row of the user columns.
type userRow struct {
	u       storage.User
	hash    string
	roles   string
	created int64
}

func (r *userRow) dest() []any {
	return []any{&r.u.ID, &r.u.Name, &r.u.Email, &r.hash, &r.u.Active, &r.roles, &r.created, r.epoch()}
}

// epoch returns the destination for scanning the epoch.
func (r *userRow) epoch() *epochValue { return (*epochValue)(&r.u.Epoch) }

// epochValue scans an epoch, which is NULL if the store's space has no record.
type epochValue int64

// Scan implements sql.Scanner.
func (e *epochValue) Scan(v any) error {
	n, ok := v.(int64)
	switch {
	case v == nil:
		return fmt.Errorf("%w: its record was removed or retired while the process ran (restart it with the name in Options.Space)", ErrSpace)
	case !ok:
		return fmt.Errorf("gormstore: epoch of type %T", v)
	}
	*e = epochValue(n)
	return nil
}

// account returns the account of a row.
func (s *Store) account(r *userRow) storage.User {
	r.u.Password = storage.PasswordHash(r.hash)
	if r.roles != "" {
		roles, err := s.users.roles(r.roles)
		if err != nil {
			s.faulty("invalid roles; account has none", slog.String("subject", r.u.ID), slog.Any("error", err))
		}
		r.u.Roles = roles
	}
	r.u.Created = timeOf(r.created)
	if s.users.space == "" {
		return r.u
	}
	return r.u.InSpace(s.users.space)
}

// notFound turns sql.ErrNoRows into storage.ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return storage.ErrNotFound
	}
	return err
}

// UserByID implements storage.Users.
func (s *Store) UserByID(ctx context.Context, id string) (storage.User, error) {
	if !s.users.has(id) {
		return storage.User{}, storage.ErrNotFound
	}
	if err := s.bound(ctx); err != nil {
		return storage.User{}, err
	}
	var r userRow
	if err := s.hotRow(ctx, &s.userByID, []any{id}, r.dest()); err != nil {
		return storage.User{}, notFound(err)
	}
	if r.u.ID != id { // the column treats different IDs as equal, for example in case
		return storage.User{}, storage.ErrNotFound
	}
	return s.account(&r), nil
}

// UserByName implements storage.Users. In a table of the application several rows can have the
// name. It returns the active account, and ErrNotFound if several accounts are active.
func (s *Store) UserByName(ctx context.Context, name string) (storage.User, error) {
	if storage.CheckID("user name", name) != nil {
		return storage.User{}, storage.ErrNotFound
	}
	if err := s.bound(ctx); err != nil {
		return storage.User{}, err
	}
	var found [2]userRow
	n := 0
	err := s.rows(ctx, s.q.userByName, []any{name, name}, func(rows *sql.Rows) error {
		r := &found[n]
		n++
		return rows.Scan(r.dest()...)
	})
	switch {
	case err != nil:
		return storage.User{}, err
	case n == 0 || found[0].u.Name != name:
		return storage.User{}, storage.ErrNotFound
	case n > 1 && found[1].u.Active:
		s.faulty("active accounts share a name",
			slog.String("subject", found[0].u.ID), slog.String("other", found[1].u.ID), slog.String("table", s.users.Table))
		return storage.User{}, storage.ErrNotFound
	}
	return s.account(&found[0]), nil
}

// ListUsers implements storage.Users.
func (s *Store) ListUsers(ctx context.Context, after string, limit int) (users []storage.User, err error) {
	if err := s.bound(ctx); err != nil {
		return nil, err
	}
	err = s.rows(ctx, s.q.listUsers, []any{after, max(limit, 0)}, func(rows *sql.Rows) error {
		var r userRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		users = append(users, s.account(&r))
		return nil
	})
	return users, err
}

// CreateUser implements storage.Users. In a table of the application it sets only the mapped
// columns. If other columns are NOT NULL without a default, the application must insert its
// accounts itself.
func (s *Store) CreateUser(ctx context.Context, u storage.User) error {
	if err := u.Check(); err != nil {
		return err
	}
	t := s.users
	if !t.has(u.ID) {
		return fmt.Errorf("%w: user ID is not %s in the space %q", storage.ErrInvalid, cmp.Or(t.IDType, "text"), t.space)
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	args := []any{u.ID, u.Name}
	if t.Email != "" {
		args = append(args, u.Email)
	}
	if t.Password != "" {
		args = append(args, string(u.Password))
	}
	if t.Created != "" {
		args = append(args, micros(u.Created))
	}
	if t.canActive {
		args = append(args, u.Active)
	}
	if t.canRoles {
		args = append(args, strings.Join(u.Roles, ","))
	} else if len(u.Roles) > 0 {
		return fmt.Errorf("%w: user table has no plain column for roles", storage.ErrInvalid)
	}
	insert := func(ctx context.Context) error {
		n, err := s.exec(ctx, s.q.createUser, args...)
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	}
	if t.own {
		return insert(ctx)
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.nameIsFree(ctx, u); err != nil {
			return err
		}
		return insert(ctx)
	})
}

// nameIsFree returns ErrConflict if an account of the application's table has u's name. Until the
// transaction ends, it keeps other calls from inserting one, because the table may have no unique
// index. The name of an account that is not active is free for an active one.
func (s *Store) nameIsFree(ctx context.Context, u storage.User) error {
	if err := s.locked(ctx, nameSlot(u.Name), "vestibule user name "+u.Name); err != nil {
		return err
	}
	taken := false
	err := s.rows(ctx, s.q.userByName, []any{u.Name, u.Name}, func(rows *sql.Rows) error {
		var r userRow
		err := rows.Scan(r.dest()...)
		taken = taken || r.u.Active || !u.Active
		return err
	})
	if err == nil && taken {
		err = storage.ErrConflict
	}
	return err
}

// micros returns a time as a column holds it: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
