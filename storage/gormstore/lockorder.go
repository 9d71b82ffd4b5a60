package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// Transactions lock rows in one order, so that none of them waits in a circle and ends as the
// victim of PostgreSQL's deadlock detection:
//
//	the account, the client, the epoch, the families with their refresh tokens, and then the
//	tables in the order of pilesOf and grantPiles
//
// Who writes something of an account, or removes it, locks the account first (lockHolder,
// lockOwners), and so keeps out all others who do. Prune and DeleteClient lock no account; within
// a table they lock the rows by their keys, as everybody does who locks several (locking). SQLite
// has one writer at a time.

// lockOwners locks the account and the client that records belong to, for a transaction that goes
// on to change these and others: the client "" is none. Outside a transaction it does nothing. An
// owner that is absent owns nothing that could be waited for.
func (s *Store) lockOwners(ctx context.Context, subject, client string) error {
	if s.dialect != postgres || s.tx(ctx) == nil {
		return nil
	}
	if s.users.has(subject) {
		if err := s.lockUser(ctx, subject); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if client == "" {
		return nil
	}
	var one int
	err := s.row(ctx, s.dialect.bind("SELECT 1 FROM vestibule_clients WHERE id = ?")+s.dialect.forShare(), []any{client}, []any{&one})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// locking returns the statement that changes the rows of a table for which a condition is true. key
// is the primary key, and change all of the statement before its WHERE. With PostgreSQL the rows
// are locked in the order of their keys before the first one changes: a plain DELETE locks them in
// the order in which it finds them, and two of them can then wait for each other.
func (d dialect) locking(table, key, where, change string) string {
	if d != postgres {
		return change + " WHERE " + where
	}
	columns := columnsOf(key)
	return "WITH held AS (SELECT " + columns + " FROM " + table + " WHERE " + where + " ORDER BY " + columns + d.forUpdate() + ") " +
		change + " WHERE " + key + " IN (SELECT " + columns + " FROM held)"
}

// columnsOf returns the columns of a key, which stands in parentheses where it has several.
func columnsOf(key string) string { return strings.Trim(key, "()") }
