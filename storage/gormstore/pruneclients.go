package gormstore

import (
	"context"
	"database/sql"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// nothingOf is a condition that is true for a client c without records. A used code stays until the
// longest lifetime of its grant, so a client with which users logged in has a record until then.
var nothingOf = func() string {
	var none []string
	for _, table := range []string{"vestibule_codes", "vestibule_families", "vestibule_consents", "vestibule_access_tokens", "vestibule_device_grants", "vestibule_auth_requests"} {
		none = append(none, "NOT EXISTS (SELECT 1 FROM "+table+" t WHERE t.client = c.id)")
	}
	return strings.Join(none, " AND ")
}()

// unusedClients selects clients that registered themselves and were never used, or not for a long
// time. Clients that can get tokens for themselves stay, because these tokens leave no record. So
// do clients that an administrator disabled or gave more rights.
var unusedClients = "SELECT c.id FROM vestibule_clients c WHERE c.registration IS NOT NULL AND NOT c.trusted AND NOT c.disabled AND COALESCE(c.serves, '') = ''" +
	` AND c.lists NOT LIKE '%"client_credentials"%' AND c.created_us <= ? AND ` + nothingOf + " ORDER BY c.created_us LIMIT ?"

// pruneClients removes up to n unused clients that were created at until or earlier.
func (s *Store) pruneClients(ctx context.Context, until int64, n int) (removed int, more bool, err error) {
	var ids []string
	err = s.rows(ctx, s.dialect.bind(unusedClients)+s.dialect.skipLocked(), []any{until, n}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	// What changed while this query waited for the row is visible only to another statement.
	remove := s.dialect.bind("DELETE FROM vestibule_clients AS c WHERE c.id = ? AND NOT c.disabled AND " + nothingOf)
	for _, id := range ids {
		if err != nil {
			return removed, false, err
		}
		var gone int64
		gone, err = s.exec(ctx, remove, id)
		removed += int(gone)
	}
	return removed, removed > 0, err
}

// unusedUntil returns the creation time up to which Prune removes unused clients at now, and false
// if it removes none.
func (s *Store) unusedUntil(now int64) (int64, bool) {
	age := storage.UnusedClientAge(s.unused)
	return now - age.Microseconds(), age >= 0
}
