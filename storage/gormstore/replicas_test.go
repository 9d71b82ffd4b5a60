package gormstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Processes over one database learn how many they are, and of those with other settings or keys.
func TestReplicas(t *testing.T) {
	ctx := t.Context()
	db := migrated(t, opened(t)(postgres.Open(storetest.URL(t), &patient)))
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	is := func(want int) {
		t.Helper()
		if n, err := db.Replicas(ctx); n != want || err != nil {
			t.Errorf("%d replicas, %v, want %d", n, err, want)
		}
	}
	warned := func(text string, want int) {
		t.Helper()
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("%d warnings %q, want %d:\n%s", n, text, want, log.String())
		}
	}
	is(1) // the caller
	shares := db.LiveReplicas(4)
	if n := shares(); n != 4 || db.LiveReplicas(0)() != 1 {
		t.Error("before the first announcement:", n)
	}
	const settings = "-token-ttl 10h"
	one := db.Presence(gormstore.CourierNotify, gormstore.ReplicaOptions{Settings: settings, KeyIDs: []string{"a", "b"}, Version: "1", Logger: logger})
	same := db.Presence(gormstore.CourierNotify, gormstore.ReplicaOptions{Settings: settings, KeyIDs: []string{"b", "a"}, Logger: logger})
	silent := db.Presence(gormstore.CourierNotify, gormstore.ReplicaOptions{Logger: logger})
	for _, p := range []*gormstore.Presence{one, same, silent, one, same, silent} {
		must(t, p.Announce(ctx))
	}
	is(3)
	if n := shares(); n != 3 {
		t.Errorf("%d processes share a limit", n)
	}
	warned("WARN", 0)
	t.Run("attack_231_warned", func(t *testing.T) {
		other := db.Presence(gormstore.CourierNotify, gormstore.ReplicaOptions{Settings: settings + "0", KeyIDs: []string{"a"}, Logger: logger})
		for range 3 {
			must(t, other.Announce(ctx))
		}
		warned("replicas have different settings", 1)
		warned("replicas have different master keys", 1)
		must(t, one.Announce(ctx))
		warned("replicas have different settings", 2)
		var rows []string
		must(t, db.DB(ctx).Raw("SELECT concat_ws(' ', id, courier, settings, key_ids, version) FROM vestibule_replicas").Scan(&rows).Error)
		if strings.Contains(fmt.Sprint(rows), "10h") {
			t.Error("the settings are in the database:", rows)
		}
	})
	runSQL(t, db, "UPDATE vestibule_replicas SET seen_us = seen_us - 31000000")
	is(1)
	if n := shares(); n != 4 {
		t.Errorf("%d processes without a query", n)
	}
	must(t, one.Announce(ctx))
	is(1)
	if n := shares(); n != 1 {
		t.Errorf("%d processes share a limit after the others have gone", n)
	}
	runSQL(t, db, "UPDATE vestibule_replicas SET seen_us = 0")
	must(t, one.Announce(ctx))
	var n int
	must(t, db.DB(ctx).Raw("SELECT count(*) FROM vestibule_replicas").Scan(&n).Error)
	if n != 1 {
		t.Errorf("%d rows, want that of the process that runs", n)
	}
	log.Reset()
	runSQL(t, db, "INSERT INTO vestibule_replicas SELECT 'r' || i, 0, 9000000000000000000, 'notify', '', '', '' FROM generate_series(1, 10) i")
	one.Received(100_000)
	must(t, one.Announce(ctx))
	must(t, one.Announce(ctx))
	warned("many replicas for courier notify", 1)
	warned("many messages for courier notify", 1)
	outbox := db.Presence(gormstore.CourierOutbox, gormstore.ReplicaOptions{Logger: logger})
	outbox.Received(100_000)
	log.Reset()
	must(t, outbox.Announce(ctx))
	warned("WARN", 0)
	file := migrated(t, opened(t)(sqlite.Open(t.TempDir()+"/db", nil)))
	if n, err := file.Replicas(ctx); n != 1 || err != nil {
		t.Error(n, err)
	}
}

// A process without a courier announces itself until its context ends.
func TestAnnounceReplica(t *testing.T) {
	db := migrated(t, opened(t)(postgres.Open(storetest.URL(t), &patient)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- db.AnnounceReplica(ctx, gormstore.ReplicaOptions{KeyIDs: []string{"a"}}) }()
	for db.LiveReplicas(99)() != 1 { // announced: the database is asked meanwhile
		must(t, db.Ping(t.Context()))
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	file := migrated(t, opened(t)(sqlite.Open(t.TempDir()+"/db", nil)))
	if err := file.AnnounceReplica(t.Context(), gormstore.ReplicaOptions{}); err == nil {
		t.Error("announced in SQLite")
	}
}

// The budget of connections: the processes' pools must fit into the server's limit.
func TestCheckConnections(t *testing.T) {
	db := opened(t)(postgres.Open(storetest.URL(t), &patient))
	var most int
	must(t, db.DB(t.Context()).Raw("SELECT current_setting('max_connections')::int").Scan(&most).Error)
	pool, err := db.DB(t.Context()).DB()
	must(t, err)
	pool.SetMaxOpenConns(10)
	fit := (most - 20) / 10
	if err := db.CheckConnections(t.Context(), fit); err != nil {
		t.Error(err)
	}
	if err := db.CheckConnections(t.Context(), fit+1); err == nil || !strings.Contains(err.Error(), "max_connections") {
		t.Error(err)
	}
	pool.SetMaxOpenConns(0)
	must(t, db.CheckConnections(t.Context(), 9999))
	must(t, opened(t)(sqlite.Open(t.TempDir()+"/db", nil)).CheckConnections(t.Context(), 9999))
}
