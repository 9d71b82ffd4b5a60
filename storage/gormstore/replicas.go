package gormstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/storage/bus"
)

// ReplicaOptions describe this process to the other processes. A process that follows a courier, or
// calls [Store.AnnounceReplica], writes a row to the table vestibule_replicas every ten seconds.
type ReplicaOptions struct {
	// Settings is a text with the settings that must be equal in all processes, such as the flags of
	// the server. The database stores only a digest of this text. "" means that settings are not
	// compared.
	Settings string
	// KeyIDs are the IDs of the master keys, as keys.Ring.IDs returns them. A process with other
	// keys rejects the credentials of this process. Nil means that keys are not compared.
	KeyIDs []string
	// Version is the version of the program, for operators. "" means unknown.
	Version string
	// Logger receives a warning if another process has other settings or keys. It also receives a
	// warning if there are too many processes or messages for the courier. Nil means
	// slog.Default().
	Logger *slog.Logger
}

const (
	// replicaLive is the age of a row after which its process counts as gone: it writes every
	// bus.AnnounceEvery.
	replicaLive = 30 * time.Second
	// replicaKept is how long the row of a process that is gone stays, for operators.
	replicaKept = time.Hour
	// manyReplicas and manyMessages, per second, are more than the courier notify is made for.
	manyReplicas = 10
	manyMessages = 300
)

// Presence announces a process to the other processes. Couriers embed it, and package cached calls
// Announce.
type Presence struct {
	s        *Store
	o        ReplicaOptions
	id       string
	courier  string
	settings string
	started  time.Time

	mu     sync.Mutex
	warned map[string]bool
	count  int // messages since the last Announce
	since  time.Time
}

// Presence returns the [Presence] of this process, which uses the given courier. It is for
// couriers.
func (s *Store) Presence(courier string, o ReplicaOptions) *Presence {
	p := &Presence{s: s, o: o, id: rand.Text(), courier: courier, started: time.Now(), warned: map[string]bool{}, since: time.Now()}
	if o.Settings != "" {
		sum := sha256.Sum256([]byte(o.Settings))
		p.settings = hex.EncodeToString(sum[:16])
	}
	return p
}

// Received counts messages.
func (p *Presence) Received(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += n
}

// AnnounceReplica announces this process to the other processes every ten seconds until ctx ends,
// and returns the error of ctx. It is for a process without a courier; couriers announce their
// process themselves. Start it as a goroutine before the server serves requests. It logs a warning
// if another process has other settings or master keys. With SQLite it returns an error
// immediately: only PostgreSQL has the table.
func (s *Store) AnnounceReplica(ctx context.Context, o ReplicaOptions) error {
	if s.dialect == sqlite {
		return errors.New("gormstore: AnnounceReplica: requires PostgreSQL")
	}
	p := s.Presence(CourierNone, o)
	for failing := false; ; {
		err := p.Announce(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !failing {
			p.logger().LogAttrs(ctx, slog.LevelWarn, "replica not announced", slog.Any("error", err))
		}
		failing = err != nil
		timer := time.NewTimer(bus.AnnounceEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// LiveReplicas returns a function for throttle.NewShared. The function returns, without a query,
// the number of processes at the last announcement of this process. Until this process has
// announced itself with a courier or AnnounceReplica, the function returns the value of the
// argument otherwise, or 1 if that value is smaller. A process that is killed counts for 30 seconds
// more. If the database fails, the last number stays.
func (s *Store) LiveReplicas(otherwise int) func() int {
	return func() int {
		if n := s.replicas.Load(); n > 0 {
			return int(n)
		}
		return max(otherwise, 1)
	}
}

// connectionReserve is the number of connections that are left for administration, jobs and a rollout.
const connectionReserve = 20

// CheckConnections returns an error if the PostgreSQL server has too few connections for that many
// processes with a pool like this one's. It keeps 20 connections free for administration. Call it
// at startup and log the error as a warning: if a pooler is in between, the pooler's limits count
// instead. With SQLite, and for a pool without a limit, it returns nil.
func (s *Store) CheckConnections(ctx context.Context, replicas int) error {
	pool := s.sql.Stats().MaxOpenConnections
	if s.dialect == sqlite || pool <= 0 {
		return nil
	}
	var most int
	if err := s.row(ctx, "SELECT CAST(current_setting('max_connections') AS INTEGER)", nil, []any{&most}); err != nil {
		return err
	}
	if need := max(replicas, 1) * pool; need > most-connectionReserve {
		return fmt.Errorf("gormstore: %d processes with %d connections each need %d, but max_connections is %d, of which %d are reserved (lower SetMaxOpenConns, or use a pooler)",
			max(replicas, 1), pool, need, most, connectionReserve)
	}
	return nil
}

// Replicas returns the number of processes that have announced themselves within 30 seconds, with a
// courier or AnnounceReplica. The result is at least 1, because the calling process counts, too. It
// queries the database; for a limit that each process counts for itself use [Store.LiveReplicas].
func (s *Store) Replicas(ctx context.Context) (n int, err error) {
	if s.dialect == sqlite {
		return 1, nil
	}
	err = s.row(ctx, "SELECT count(*) FROM vestibule_replicas WHERE seen_us > "+serverNow+" - $1", []any{replicaLive.Microseconds()}, []any{&n})
	return max(n, 1), err
}

// Announce writes the row of this process, and logs a warning if other processes have different
// settings or keys. Package cached calls it every [bus.AnnounceEvery].
func (p *Presence) Announce(ctx context.Context) error {
	keys := strings.Join(slices.Sorted(slices.Values(p.o.KeyIDs)), " ")
	_, err := p.s.exec(ctx, "INSERT INTO vestibule_replicas (id, started_us, seen_us, courier, settings, key_ids, version) VALUES ($1, $2, "+serverNow+", $3, $4, $5, $6)"+
		" ON CONFLICT (id) DO UPDATE SET seen_us = EXCLUDED.seen_us", p.id, p.started.UnixMicro(), p.courier, p.settings, keys, p.o.Version)
	if err != nil {
		return err
	}
	if _, err := p.s.exec(ctx, "DELETE FROM vestibule_replicas WHERE seen_us < "+serverNow+" - $1", replicaKept.Microseconds()); err != nil {
		return err
	}
	live, differ := 0, map[string]string{}
	err = p.s.rows(ctx, "SELECT id, settings, key_ids FROM vestibule_replicas WHERE seen_us > "+serverNow+" - $1", []any{replicaLive.Microseconds()}, func(rows *sql.Rows) error {
		var id, settings, theirs string
		err := rows.Scan(&id, &settings, &theirs)
		live++
		if settings != "" && p.settings != "" && settings != p.settings {
			differ["replicas have different settings"] = id
		}
		if theirs != "" && keys != "" && theirs != keys {
			differ["replicas have different master keys"] = id
		}
		return err
	})
	if err != nil {
		return err
	}
	p.s.replicas.Store(int64(max(live, 1)))
	p.judge(live, differ)
	return nil
}

func (p *Presence) logger() *slog.Logger {
	if p.o.Logger == nil {
		return slog.Default()
	}
	return p.o.Logger
}

// judge logs what is wrong, each thing once until it is right again.
func (p *Presence) judge(live int, differ map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.s.sink; s != nil && s.Replicas != nil {
		s.Replicas(live, len(differ) > 0)
	}
	rate := float64(p.count) / max(time.Since(p.since).Seconds(), 1)
	p.count, p.since = 0, time.Now()
	log := p.logger()
	warn := func(message string, wrong bool, attrs ...any) {
		if wrong && !p.warned[message] {
			log.Warn(message, attrs...)
		}
		p.warned[message] = wrong
	}
	for _, m := range []string{"replicas have different settings", "replicas have different master keys"} {
		other, wrong := differ[m]
		warn(m, wrong, slog.String("replica", p.id), slog.String("other", other))
	}
	notify := p.courier == CourierNotify
	warn("many replicas for courier notify", notify && live > manyReplicas, slog.Int("replicas", live), slog.String("advice", "use the courier "+CourierOutbox))
	warn("many messages for courier notify", notify && rate > manyMessages, slog.Float64("rate", rate), slog.String("advice", "use the courier "+CourierOutbox))
}
