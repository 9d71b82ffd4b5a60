package gormstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// ErrSpace means that the database's record of account tables does not match this store's
// Options.Space and Options.Users, or is missing. The error text says what to do. Until it is
// fixed, no credential is accepted or issued.
var ErrSpace = errors.New("gormstore: account table")

// errUnrecorded means that there is no record yet because Migrate was not called.
var errUnrecorded = errors.New("is not recorded")

// Space returns Options.Space. It implements [storage.Spaced].
func (s *Store) Space() string { return s.users.space }

// accountTable identifies the accounts of a store.
type accountTable struct {
	db           *sql.DB
	table, space string
}

// AccountStore returns a value that is equal for stores over the same *sql.DB, account table and
// space. It implements [storage.AccountSource].
func (s *Store) AccountStore() any { return accountTable{s.sql, s.users.Table, s.users.space} }

// space is a row of vestibule_spaces.
type space struct {
	name, table, idColumn, idType string
	epoch                         int64
	retired                       bool
}

func (v space) String() string {
	if v.name == "" {
		return v.table + " (without a space)"
	}
	return fmt.Sprintf("%s (space %q)", v.table, v.name)
}

// mySpace returns the record that this store requires. The table has its schema in its name,
// because the same name under two search paths means two tables. A table that does not exist yet
// gets the schema in which an unqualified CREATE TABLE would create it.
func (s *Store) mySpace(ctx context.Context) (space, error) {
	u := s.users
	v := space{name: u.space, table: strings.ToLower(u.Table), idColumn: u.ID, idType: cmp.Or(u.IDType, "text")}
	if s.dialect == sqlite {
		v.idColumn = strings.ToLower(v.idColumn)
		if !strings.Contains(v.table, ".") {
			v.table = "main." + v.table
		}
		return v, nil
	}
	const where = "SELECT COALESCE((SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" +
		" WHERE c.oid = to_regclass($1)), '')"
	err := s.row(ctx, where, []any{s.dialect.quote(u.Table)}, []any{&v.table})
	if err == nil && v.table == "" {
		v.table = u.Table
		if !strings.Contains(v.table, ".") {
			err = s.row(ctx, "SELECT COALESCE(CAST(current_schema() AS TEXT), '') || '.' || CAST($1 AS TEXT)", []any{u.Table}, []any{&v.table})
		}
	}
	return v, err
}

// recordedSpaces returns the space of the store and the spaces that the database has recorded.
func (s *Store) recordedSpaces(ctx context.Context) (own space, all []space, err error) {
	if own, err = s.mySpace(ctx); err != nil {
		return own, nil, err
	}
	all, err = s.spaces(ctx)
	return own, all, err
}

func (s *Store) spaces(ctx context.Context) (all []space, err error) {
	err = s.rows(ctx, "SELECT name, table_name, id_column, id_type, epoch, retired FROM vestibule_spaces ORDER BY name", nil, func(rows *sql.Rows) error {
		var v space
		err := rows.Scan(&v.name, &v.table, &v.idColumn, &v.idType, &v.epoch, &v.retired)
		all = append(all, v)
		return err
	})
	return all, err
}

// judge reports whether v is recorded among all, or returns why it cannot be.
func judge(v space, all []space) (recorded bool, err error) {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrSpace}, args...)...)
	}
	for _, r := range all {
		if r.name != v.name {
			continue
		}
		switch {
		case r.retired:
			for _, named := range all {
				if named.table == v.table && !named.retired {
					return false, fault("%s has the space %q since it was named: set Options.Space to it", v.table, named.name)
				}
			}
			return false, fault("space %q was retired and is never used again: set Options.Space to a new name", v.name)
		case r.table != v.table && v.name == "":
			return false, fault("the database already serves %s; with a second table, %s, each needs a name: call NameSpace once in the program of the first, then set Options.Space in both", r.table, v.table)
		case r.table != v.table:
			return false, fault("space %q belongs to %s and is never given to another table, such as %s: set Options.Space to another name", v.name, r.table, v.table)
		case r.idColumn != v.idColumn || r.idType != v.idType:
			return false, fault("credentials of %s are bound to the %s column %s, not to the %s column %s: restore UserTable.ID and IDType", r, r.idType, r.idColumn, v.idType, v.idColumn)
		}
		return true, nil
	}
	for _, r := range all {
		switch {
		case r.retired:
		case r.table == v.table && r.name == "":
			return false, fault("%s has no name in this database: call NameSpace once to name it %q (it ends all credentials)", v.table, v.name)
		case r.table == v.table:
			return false, fault("%s is recorded as space %q: set Options.Space to that", v.table, r.name)
		case r.name == "":
			return false, fault("the database serves %s without a name; before %s can be added, call NameSpace once in the program of %s", r.table, v.table, r.table)
		case v.name == "":
			return false, fault("the database serves %s: %s needs a name too: set Options.Space", r, v.table)
		}
	}
	return false, nil
}

// bound returns ErrSpace unless the database has this store's record. It queries the database once.
// Later, every statement that issues something, looks up an account or checks a signed token finds
// out whether the record still exists. A lookup by digest does not need to, because NameSpace
// renames the subjects that it would find.
func (s *Store) bound(ctx context.Context) error {
	if s.recorded.Load() {
		return nil
	}
	v, err := s.mySpace(ctx)
	if err != nil {
		return err
	}
	all, err := s.spaces(ctx)
	if noTable(err) {
		return fmt.Errorf("%w: database has no records of account tables (call Migrate): %w", ErrSpace, err)
	}
	if err != nil {
		return err
	}
	switch recorded, err := judge(v, all); {
	case err != nil:
		return err
	case !recorded:
		return fmt.Errorf("%w: %s %w (call Migrate, or RecordSpace if the schema is current)", ErrSpace, v, errUnrecorded)
	}
	s.recorded.Store(s.tx(ctx) == nil) // a transaction may be rolled back
	return nil
}

// noTable reports whether err means that a table does not exist.
func noTable(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "42P01" // undefined_table
	}
	return err != nil && strings.Contains(err.Error(), "no such table")
}

// stale returns why a credential cannot be issued for a subject: ErrStale, or ErrSpace if the
// store's space was retired.
func (s *Store) stale(ctx context.Context) error {
	var epoch int64
	err := s.row(ctx, s.dialect.bind("SELECT epoch FROM vestibule_spaces WHERE name = ? AND NOT retired"), []any{s.users.space}, []any{&epoch})
	switch {
	case err == nil:
		return storage.ErrStale
	case errors.Is(err, sql.ErrNoRows):
		return new(epochValue).Scan(nil)
	}
	return err
}

// RecordSpace records the account table of this store under its Options.Space, if that has not been
// done, and changes nothing else. Migrate calls it. Call it yourself if another tool migrates. It
// requires INSERT on vestibule_spaces the first time, and only SELECT later.
//
// It returns ErrSpace if the table or the name is recorded differently, or if the database would
// get a second table while a table has no name.
func (s *Store) RecordSpace(ctx context.Context) error {
	if err := s.bound(ctx); err == nil {
		return nil
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		if err := s.locked(ctx, lockSpaces, "vestibule spaces"); err != nil {
			return err
		}
		v, all, err := s.recordedSpaces(ctx)
		if err != nil {
			return err
		}
		if recorded, err := judge(v, all); err != nil || recorded {
			return err
		}
		return s.insertSpace(ctx, v, 0)
	})
	if err != nil {
		return s.missingRight("record the account table", "INSERT on vestibule_spaces", err)
	}
	return s.bound(ctx)
}

func (s *Store) insertSpace(ctx context.Context, v space, epoch int64) error {
	_, err := s.exec(ctx, s.dialect.bind("INSERT INTO vestibule_spaces (name, table_name, id_column, id_type, epoch, recorded_us) VALUES (?, ?, ?, ?, ?, ?)"),
		v.name, v.table, v.idColumn, v.idType, epoch, time.Now().UnixMicro())
	return err
}
