package gormstore

import (
	"context"
	"time"
)

// pruneBatch is the maximum number of records per transaction, so that transactions stay short.
const pruneBatch = 500

// Prune implements storage.Pruner, in transactions of at most 500 records. The tokens of a family
// are removed before it, in pieces, and are not counted. On PostgreSQL concurrent calls run one
// batch at a time, so that a call does not stop because another one removed its batch.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (int, error) {
	now, err := s.notAhead(ctx, now)
	if err != nil {
		return 0, err
	}
	at := now.UnixMicro()
	drop := func(table, key, until, where string) func(context.Context, int) (int, bool, error) {
		query := s.dialect.bind(s.dialect.locking(table, key, ended(key, table, until, where), "DELETE FROM "+table))
		return func(ctx context.Context, n int) (int, bool, error) {
			removed, err := s.exec(ctx, query, at, at, n)
			return s.pruned(table, removed), removed > 0, err // there may be fewer because another caller removed some
		}
	}
	erase := s.dialect.bind(s.dialect.locking("vestibule_refresh_tokens", "digest",
		ended("digest", "vestibule_refresh_tokens", "sealed_until_us", "sealed_until_us <> 0"),
		"UPDATE vestibule_refresh_tokens SET sealed = NULL, sealed_until_us = 0"))
	total := 0
	// Each function returns more = false if no expired records are left.
	for _, batch := range []func(ctx context.Context, n int) (removed int, more bool, err error){
		drop("vestibule_blocklist", "block_key", "until_us", "TRUE"),
		drop("vestibule_replays", "replay_key", "until_us", "TRUE"),
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
		func(ctx context.Context, n int) (int, bool, error) {
			removed, more, err := s.familyPiece(ctx, "expires_us <= ? ORDER BY expires_us LIMIT ?", at, min(n, pieceFamilies))
			return s.pruned("vestibule_families", int64(removed)), more, err
		},
		func(ctx context.Context, n int) (int, bool, error) {
			until, ok := s.unusedUntil(at)
			if !ok {
				return 0, false, nil
			}
			removed, more, err := s.pruneClients(ctx, until, n)
			return s.pruned("vestibule_clients", int64(removed)), more, err
		},
		func(ctx context.Context, n int) (int, bool, error) {
			erased, err := s.exec(ctx, erase, at, at, n)
			return int(erased), erased > 0, err
		},
	} {
		for total < limit {
			want, got, more := min(limit-total, pruneBatch), 0, false
			err := s.atomically(ctx, func(ctx context.Context) (err error) {
				if err = s.advisory(ctx, "vestibule prune"); err == nil {
					got, more, err = batch(ctx, want)
				}
				return err
			})
			if err != nil {
				return total, err
			}
			total += got
			if !more {
				break
			}
		}
	}
	return total, nil
}

// notAhead returns now, or the store's clock if that is earlier. A caller with a fast clock must
// not remove records that are still needed, such as a blocklist entry that revokes a token.
func (s *Store) notAhead(ctx context.Context, now time.Time) (time.Time, error) {
	own, err := s.clock(ctx)
	if err == nil && own.Before(now) {
		return own, nil
	}
	return now, err
}

// clock returns the time of the store's clock.
func (s *Store) clock(ctx context.Context) (time.Time, error) {
	if s.now != nil {
		return s.now(), nil
	}
	var us int64
	err := s.row(ctx, "SELECT "+serverNow, nil, []any{&us})
	return time.UnixMicro(us), err
}

// ended selects expired rows by their primary key, those that expired first. It repeats the
// condition outside the subquery, so that a row whose expiry was moved concurrently stays.
func ended(key, table, until, where string) string {
	condition := where + " AND " + until + " <= ?"
	return condition + " AND " + key + " IN (SELECT " + columnsOf(key) + " FROM " + table + " WHERE " + condition + " ORDER BY " + until + " LIMIT ?)"
}
