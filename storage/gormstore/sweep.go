package gormstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// shortLived is a table whose records expire soon and which callers can fill. Inserts remove
// expired records, so that its size stays bounded even if Prune is never called.
type shortLived struct {
	name, key, until string
	inserts          atomic.Uint32
}

// shortLives are the short-lived tables of a store.
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

// swept must be called after each insert into a short-lived table, with the result of the insert
// and the caller's time. It returns that result. Every storage.SweepEvery-th call removes expired
// records. Concurrent sweeps do not wait for each other. An error is ignored, because the insert
// has succeeded and a later sweep repeats the work.
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
	removed, _ := s.exec(ctx, s.dialect.bind(query), at, at, storage.SweepMost)
	s.pruned(t.name, removed)
	return nil
}
