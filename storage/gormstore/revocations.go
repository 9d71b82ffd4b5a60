package gormstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

var _ storage.Revocations = (*Store)(nil)

// The kinds of vestibule_changes. The triggers of PostgreSQL write them too.
const (
	changedSubject = "subject"
	changedClient  = "client"
)

// recordChange records that something changed, in the transaction of the change, which has locked its row.
// With PostgreSQL the triggers of the library's own tables do that, also for changes by SQL.
func (s *Store) recordChange(ctx context.Context, kind, id string) error {
	now, err := s.clock(ctx)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, s.dialect.bind("INSERT INTO vestibule_changes (kind, id, us) VALUES (?, ?, ?) ON CONFLICT (kind, id)"+
		" DO UPDATE SET us = EXCLUDED.us WHERE vestibule_changes.us < EXCLUDED.us"), kind, id, now.UnixMicro())
	return err
}

const (
	margin = int64(storage.RevocationMargin / time.Microsecond)
	// renewLifetime is how old the record of a lifetime can be before it is written again, in
	// microseconds, so that many processes do not write it all the time.
	renewLifetime = int64(30 * time.Second / time.Microsecond)
)

// forgetChanges is the age at which Prune removes a row of vestibule_changes, in microseconds: no token
// that it concerns is valid any more.
const forgetChanges = int64((storage.MaxTokenLifetime + storage.RevocationMargin) / time.Microsecond)

const recordLifetime = "INSERT INTO vestibule_token_lifetimes (lifetime_us, used_us) VALUES (?, ?) ON CONFLICT (lifetime_us)" +
	" DO UPDATE SET used_us = EXCLUDED.used_us WHERE vestibule_token_lifetimes.used_us < EXCLUDED.used_us - ?"

// The second column is the clock of the database or, with a clock of the store, its time.
const readLifetimes = "SELECT {now}, COALESCE((SELECT MAX(lifetime_us) FROM vestibule_token_lifetimes WHERE used_us + lifetime_us + ? > {now}), 0)," +
	" COALESCE((SELECT MAX(us) FROM vestibule_changes WHERE kind = 'since'), {now}), COALESCE((SELECT MAX(epoch) FROM vestibule_spaces), 0)"

// RecordTokenLifetime implements storage.Revocations. It needs INSERT and UPDATE on
// vestibule_token_lifetimes.
func (s *Store) RecordTokenLifetime(ctx context.Context, lifetime time.Duration) (storage.TokenLifetimes, error) {
	if lifetime < time.Second || lifetime > storage.MaxTokenLifetime {
		return storage.TokenLifetimes{}, fmt.Errorf("%w: token lifetime %v out of range (1s to %v)", storage.ErrInvalid, lifetime, storage.MaxTokenLifetime)
	}
	at, err := s.clock(ctx)
	if err != nil {
		return storage.TokenLifetimes{}, err
	}
	if _, err := s.exec(ctx, s.dialect.bind(recordLifetime), lifetime.Microseconds(), at.UnixMicro(), renewLifetime); err != nil {
		return storage.TokenLifetimes{}, err
	}
	var now, longest, since, renamed int64
	if err := s.readLifetimes(ctx, &now, &longest, &since, &renamed); err != nil {
		return storage.TokenLifetimes{}, err
	}
	return storage.TokenLifetimes{Longest: time.Duration(longest) * time.Microsecond, Now: timeOf(now), Since: timeOf(max(since, renamed))}, nil
}

func (s *Store) readLifetimes(ctx context.Context, dest ...any) error {
	now := serverNow
	if s.now != nil {
		now = fmt.Sprint(s.now().UnixMicro())
	}
	query := s.dialect.ofPrimary(s.dialect.bind(strings.ReplaceAll(readLifetimes, "{now}", now)))
	if s.dialect == sqlite {
		return s.row(ctx, query, []any{margin}, dest)
	}
	ctx, cancel, err := s.forRead(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return s.rowOfPrimary(ctx, query, []any{margin}, dest)
}

// The first row proves on which server the statement ran.
const revokedSince = "SELECT {standby}, '' AS kind, '' AS id, {none} AS block_key, {zero} AS us" +
	" UNION ALL SELECT {false}, 'subject', subject, NULL, epoch FROM vestibule_subjects WHERE epoch >= ?" +
	" UNION ALL SELECT {false}, kind, id, NULL, us FROM vestibule_changes WHERE us >= ? AND kind <> 'since'" +
	" UNION ALL SELECT {false}, 'key', '', block_key, 0 FROM vestibule_blocklist WHERE until_us >= ? LIMIT ?"

// revokedTimeout is the number of the store's timeouts that RevokedSince can take, because it may read
// a million rows.
const revokedTimeout = 15

// RevokedSince implements storage.Revocations with one statement.
func (s *Store) RevokedSince(ctx context.Context, since time.Time, limit int, f func(storage.Revocation)) (err error) {
	if err := s.bound(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, revokedTimeout*s.timeout)
	defer cancel()
	from := since.UnixMicro()
	rows, err := s.pool(ctx).QueryContext(ctx, s.revokedSince(), from, from, from, int64(limit)+2)
	if err != nil {
		return explain(err)
	}
	defer func() { err = explainClose(err, rows) }()
	primary, n := false, 0
	for rows.Next() {
		var standby bool
		var kind string
		var r storage.Revocation
		var key []byte
		var us int64
		if err := rows.Scan(&standby, &kind, &r.Subject, &key, &us); err != nil {
			return explain(err)
		}
		switch kind {
		case "":
			if primary = !standby; standby {
				return errStandby
			}
			continue
		case changedClient:
			r.Client, r.Subject = r.Subject, ""
		case "key":
			if len(key) != len(r.Key) {
				return fmt.Errorf("gormstore: blocklist key of %d bytes", len(key))
			}
			r.Key, r.Subject = storage.BlockKey(key), ""
		}
		if n++; n > limit {
			return storage.ErrLimit
		}
		r.At = timeOf(us)
		f(r)
	}
	if err := rows.Err(); err != nil {
		return explain(err)
	}
	if !primary {
		return errStandby
	}
	return nil
}

func explainClose(err error, rows *sql.Rows) error {
	if closed := rows.Close(); err == nil {
		return explain(closed)
	}
	return err
}

func (s *Store) revokedSince() string {
	words := []string{"{standby}", "FALSE", "{none}", "NULL", "{zero}", "0", "{false}", "FALSE"}
	if s.dialect == postgres {
		words = []string{"{standby}", "pg_is_in_recovery()", "{none}", "CAST(NULL AS BYTEA)", "{zero}", "CAST(0 AS BIGINT)", "{false}", "FALSE"}
	}
	return s.dialect.bind(strings.NewReplacer(words...).Replace(revokedSince))
}
