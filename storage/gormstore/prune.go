package gormstore

import (
	"context"
	"time"
)

// pruneBatch is how many records one transaction removes, so that none is long.
const pruneBatch = 500

// Prune implements storage.Pruner, in transactions of at most 500 records. On
// PostgreSQL those who prune at once take turns, so that nobody takes the other's
// batch for the last one.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (int, error) {
	at := now.UnixMicro()
	drop := func(table, key, until, where string) func(context.Context, int) (int, error) {
		query := s.dialect.bind("DELETE FROM " + table + ended(key, table, until, where))
		return func(ctx context.Context, n int) (int, error) {
			removed, err := s.exec(ctx, query, at, at, n)
			return int(removed), err
		}
	}
	erase := s.dialect.bind("UPDATE vestibule_refresh_tokens SET sealed = NULL, sealed_until_us = 0" +
		ended("digest", "vestibule_refresh_tokens", "sealed_until_us", "sealed_until_us <> 0"))
	families := ended("id", "vestibule_families", "expires_us", "TRUE")
	total := 0
	for _, batch := range []func(context.Context, int) (int, error){
		drop("vestibule_blocklist", "block_key", "until_us", "TRUE"),
		drop("vestibule_device_tokens", "digest", "expires_us", "expires_us <> 0"),
		drop("vestibule_sessions", "digest", "expires_us", "TRUE"),
		drop("vestibule_onetimes", "digest", "expires_us", "TRUE"),
		drop("vestibule_codes", "digest", "kept_us", "TRUE"),
		drop("vestibule_auth_requests", "digest", "expires_us", "TRUE"),
		drop("vestibule_consents", "(subject, client)", "expires_us", "TRUE"),
		drop("vestibule_access_tokens", "digest", "expires_us", "TRUE"),
		drop("vestibule_device_grants", "digest", "expires_us", "TRUE"),
		drop("vestibule_tries", "name", "until_us", "TRUE"),
		drop("vestibule_signing_keys", "(purpose, id)", "expires_us", "expires_us <> 0"),
		func(ctx context.Context, n int) (int, error) {
			return s.dropFamilies(ctx, families, at, at, n)
		},
		func(ctx context.Context, n int) (int, error) {
			erased, err := s.exec(ctx, erase, at, at, n)
			return int(erased), err
		},
	} {
		for total < limit {
			want, got := min(limit-total, pruneBatch), 0
			err := s.atomically(ctx, func(ctx context.Context) (err error) {
				if err = s.advisory(ctx, "vestibule prune"); err == nil {
					got, err = batch(ctx, want)
				}
				return err
			})
			if err != nil {
				return total, err
			}
			if got == 0 { // fewer than asked for may be those that somebody else removed
				break
			}
			total += got
		}
	}
	return total, nil
}

// ended selects rows by their primary key, the first to end first. The condition
// stands outside too: a row that somebody moved on meanwhile stays.
func ended(key, table, until, where string) string {
	condition := where + " AND " + until + " <= ?"
	columns := key
	if key[0] == '(' {
		columns = key[1 : len(key)-1]
	}
	return " WHERE " + condition + " AND " + key + " IN (SELECT " + columns + " FROM " + table + " WHERE " + condition + " ORDER BY " + until + " LIMIT ?)"
}
