package gormstore

import (
	"context"
	"time"
)

// pruneBatch is how many records one transaction removes, so that none is long.
const pruneBatch = 500

// Prune implements storage.Pruner, in transactions of at most 500 records. The tokens of a family
// are not counted; they are removed in pieces before it. On PostgreSQL those who prune at once take turns, so that nobody takes the other's
// batch for the last one.
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
			return int(removed), removed > 0, err // fewer than asked for may be those that somebody else removed
		}
	}
	erase := s.dialect.bind(s.dialect.locking("vestibule_refresh_tokens", "digest",
		ended("digest", "vestibule_refresh_tokens", "sealed_until_us", "sealed_until_us <> 0"),
		"UPDATE vestibule_refresh_tokens SET sealed = NULL, sealed_until_us = 0"))
	total := 0
	// more is false where nothing was left.
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
			return s.familyPiece(ctx, "expires_us <= ? ORDER BY expires_us LIMIT ?", at, min(n, pieceFamilies))
		},
		func(ctx context.Context, n int) (int, bool, error) {
			until, ok := s.unusedUntil(at)
			if !ok {
				return 0, false, nil
			}
			return s.pruneClients(ctx, until, n)
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

// notAhead returns now, or the store's clock if that is earlier. A caller whose clock is fast must
// not remove what others still count on, such as the entry that ends a token.
func (s *Store) notAhead(ctx context.Context, now time.Time) (time.Time, error) {
	own, err := s.clock(ctx)
	if err == nil && own.Before(now) {
		return own, nil
	}
	return now, err
}

// clock returns the time by the store's clock.
func (s *Store) clock(ctx context.Context) (time.Time, error) {
	if s.now != nil {
		return s.now(), nil
	}
	var us int64
	err := s.row(ctx, "SELECT "+serverNow, nil, []any{&us})
	return time.UnixMicro(us), err
}

// ended selects rows by their primary key, the first to end first. The condition
// stands outside too: a row that somebody moved on meanwhile stays.
func ended(key, table, until, where string) string {
	condition := where + " AND " + until + " <= ?"
	return condition + " AND " + key + " IN (SELECT " + columnsOf(key) + " FROM " + table + " WHERE " + condition + " ORDER BY " + until + " LIMIT ?)"
}
