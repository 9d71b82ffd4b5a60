package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// Transactions lock rows in one order, so that PostgreSQL never detects a deadlock and aborts one:
//
//	the account, the client, the epoch, the families with their refresh tokens, and then the
//	tables in the order of revokedRows and grantRows
//
// A transaction that writes or deletes records of an account locks the account first (lockHolder,
// lockOwners) and so excludes others that do. Prune and DeleteClient lock no account, and Prune waits
// for no lock. Within a table, every transaction that locks several rows locks them in the order of their keys (locking).
// SQLite has one writer at a time.

// lockOwners locks the account and the client that own records, for a transaction that then changes
// these and other records. The client "" means none. Outside a transaction it does nothing. If an
// owner does not exist, there are no records to wait for.
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

// locking returns the statement that changes the rows of a table that meet a condition. key is the
// primary key, and change is the statement up to its WHERE. With PostgreSQL it locks the rows in
// the order of their keys before it changes the first one. A plain DELETE locks rows in the order
// in which it finds them, so two of them could wait for each other.
func (d dialect) locking(table, key, where, change string) string {
	if d != postgres {
		return change + " WHERE " + where
	}
	columns := columnsOf(key)
	return "WITH held AS (SELECT " + columns + " FROM " + table + " WHERE " + where + " ORDER BY " + columns + d.forUpdate() + ") " +
		change + " WHERE " + key + " IN (SELECT " + columns + " FROM held)"
}

// columnsOf returns the columns of a key. A key of several columns is in parentheses.
func columnsOf(key string) string { return strings.Trim(key, "()") }
