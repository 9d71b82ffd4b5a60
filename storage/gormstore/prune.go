package gormstore

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// pruneBatch is the maximum number of records per transaction, so that transactions stay short.
const pruneBatch = 500

// Prune implements storage.Pruner, in transactions of at most 500 records. The tokens of a family
// are removed before it, in pieces, and are not counted. On PostgreSQL it never waits for a lock:
// it skips records that another transaction holds. So several processes that prune share the work.
// The result "none are left" then ignores records that another transaction is changing or deleting.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (int, error) {
	now, err := s.notAhead(ctx, now)
	if err != nil {
		return 0, err
	}
	at := now.UnixMicro()
	// Each function returns more = false if no expired records are left.
	type batch func(ctx context.Context, n int) (removed int, more bool, err error)
	dropAt := func(at int64, table, key, until, where string) batch {
		query := s.dialect.expired(table, key, until, where, "DELETE FROM "+table)
		return func(ctx context.Context, n int) (int, bool, error) {
			removed, err := s.exec(ctx, query, at, n)
			return s.pruned(table, removed), removed > 0, err // there may be fewer because another caller removed some
		}
	}
	drop := func(table, key, until, where string) batch { return dropAt(at, table, key, until, where) }
	erase := s.dialect.expired("vestibule_refresh_tokens", "digest", "sealed_until_us", "sealed_until_us <> 0",
		"UPDATE vestibule_refresh_tokens SET sealed = NULL, sealed_until_us = 0")
	batches := []batch{
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
		drop("vestibule_token_lifetimes", "lifetime_us", fmt.Sprintf("used_us + lifetime_us + %d", margin), "TRUE"),
		dropAt(at-forgetChanges, "vestibule_changes", "(kind, id)", "us", "kind <> 'since'"),
		func(ctx context.Context, n int) (int, bool, error) {
			removed, more, err := s.pruneFamilies(ctx, at, min(n, pieceFamilies))
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
			erased, err := s.exec(ctx, erase, at, n)
			return int(erased), erased > 0, err
		},
	}
	// The tables take turns, and each call starts with another one. Otherwise a table that grows faster
	// than it is pruned would keep the others from being pruned at all.
	first := int(s.prunes.Add(1) % uint32(len(batches)))
	batches = slices.Concat(batches[first:], batches[:first])
	total := 0
	for len(batches) > 0 && total < limit {
		left := batches[:0]
		for _, next := range batches {
			want, got, more := min(limit-total, pruneBatch), 0, false
			if want == 0 {
				return total, nil
			}
			err := s.atomically(ctx, func(ctx context.Context) (err error) {
				got, more, err = next(ctx, want)
				return err
			})
			if err != nil {
				return total, err
			}
			if total += got; more {
				left = append(left, next)
			}
		}
		batches = left
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

// expired returns the statement that changes up to n rows that expired at a time or before, those
// that expired first. Its arguments are the time and n. where is a further condition on the rows, and
// change is the statement up to its WHERE. With PostgreSQL it skips rows that are locked. A row whose
// expiry another transaction has just moved is checked again before it is locked.
func (d dialect) expired(table, key, until, where, change string) string {
	columns := columnsOf(key)
	rows := "SELECT " + columns + " FROM " + table + " WHERE " + where + " AND " + until + " <= ? ORDER BY " + until + " LIMIT ?"
	if d != postgres {
		return d.bind(change + " WHERE " + key + " IN (" + rows + ")")
	}
	return d.bind("WITH held AS (" + rows + d.skipLocked() + ") " + change + " WHERE " + key + " IN (SELECT " + columns + " FROM held)")
}
