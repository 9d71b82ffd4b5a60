package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"strconv"
)

// Locks by name are rows of the table vestibule_locks that a transaction locks with SELECT … FOR
// UPDATE. Unlike advisory locks they work on every database that speaks PostgreSQL's protocol. With
// SQLite the transaction is the only writer, so it needs none.

const (
	lockMigrate    = "migrate"
	lockSpaces     = "spaces"
	lockSigningKey = "signing keys " // with the purpose
	lockGroup      = "group "        // with the name
	lockUserName   = "user name "    // with one of userNameSlots numbers
)

// userNameSlots is the number of rows that all user names share, so that the table stays small.
const userNameSlots = 64

// nameSlot returns the lock of a user name.
func nameSlot(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return lockUserName + strconv.FormatUint(uint64(h.Sum32()%userNameSlots), 10)
}

const (
	lockRow   = "SELECT 1 FROM vestibule_locks WHERE name = $1 FOR UPDATE"
	createRow = "INSERT INTO vestibule_locks (name) VALUES ($1) ON CONFLICT DO NOTHING"
)

// locked waits for the lock of that name and holds it until the transaction ends. former is the
// name of the advisory lock that programs before schema version 18 take for the same purpose. They
// can run beside this one during an upgrade, so locked takes that lock, too.
func (s *Store) locked(ctx context.Context, name, former string) error {
	if s.dialect != postgres {
		return nil
	}
	var one int
	err := s.row(ctx, lockRow, []any{name}, []any{&one})
	if errors.Is(err, sql.ErrNoRows) { // the first use of the name
		if _, err := s.exec(ctx, createRow, name); err != nil {
			return err
		}
		err = s.row(ctx, lockRow, []any{name}, []any{&one})
	}
	if err != nil {
		return err
	}
	has, err := s.hasAdvisory(ctx)
	if err != nil || !has {
		return err
	}
	_, err = s.exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", former)
	return err
}

const countAdvisory = "SELECT count(*) FROM pg_catalog.pg_proc WHERE proname = 'pg_advisory_xact_lock'"

// Values of Store.advisory.
const (
	advisoryUnknown = iota
	advisoryMissing
	advisoryFound
)

// hasAdvisory reports whether the database has advisory locks. If it has none, no program before
// schema version 18 can run on it.
func (s *Store) hasAdvisory(ctx context.Context) (bool, error) {
	if s.noAdvisory {
		return false, nil
	}
	if known := s.advisory.Load(); known != advisoryUnknown {
		return known == advisoryFound, nil
	}
	var n int
	if err := s.row(ctx, countAdvisory, nil, []any{&n}); err != nil {
		return false, err
	}
	if n == 0 {
		s.advisory.Store(advisoryMissing)
	} else {
		s.advisory.Store(advisoryFound)
	}
	return n > 0, nil
}
