package gormstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// shortLived is a table whose records expire soon and that callers can fill. Its writers remove
// what has expired, so that nothing depends on somebody who prunes.
type shortLived struct {
	name, key, until string
	inserts          atomic.Uint32
}

// shortLives are the tables of one store.
type shortLives struct {
	requests, devices, replays, tries, codes, access, onetimes, sessions shortLived
}

func (l *shortLives) name() {
	for t, names := range map[*shortLived][3]string{
		&l.requests: {"vestibule_auth_requests", "digest", "expires_us"},
		&l.devices:  {"vestibule_device_grants", "digest", "expires_us"},
		&l.replays:  {"vestibule_replays", "replay_key", "until_us"},
		&l.tries:    {"vestibule_tries", "name", "until_us"},
		&l.codes:    {"vestibule_codes", "digest", "kept_us"},
		&l.access:   {"vestibule_access_tokens", "digest", "expires_us"},
		&l.onetimes: {"vestibule_onetimes", "digest", "expires_us"},
		&l.sessions: {"vestibule_sessions", "digest", "expires_us"},
	} {
		t.name, t.key, t.until = names[0], names[1], names[2]
	}
}

// swept is called after each insert into a table, with its outcome and the caller's time, and
// returns the outcome. Each storage.SweepEvery-th removes what has expired. Nobody waits for
// another who does, and a failure is the next one's work: the insert is done.
func (s *Store) swept(ctx context.Context, t *shortLived, now time.Time, err error) error {
	if err != nil || t.inserts.Add(1)%storage.SweepEvery != 0 {
		return err
	}
	lock := ""
	if s.dialect == postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	query := "DELETE FROM " + t.name + " WHERE " + t.until + " <= ? AND " + t.key + " IN (SELECT " + t.key + " FROM " + t.name +
		" WHERE " + t.until + " <= ? ORDER BY " + t.until + " LIMIT ?" + lock + ")"
	if now, err = s.notAhead(ctx, now); err != nil {
		return nil
	}
	at := now.Add(-storage.SweepAfter).UnixMicro()
	_, _ = s.exec(ctx, s.dialect.bind(query), at, at, storage.SweepMost)
	return nil
}
