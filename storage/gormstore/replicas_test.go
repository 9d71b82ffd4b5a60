package gormstore_test

import (
	"bytes"
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
	const settings = "-token-ttl 10h"
	one := db.Presence(gormstore.CourierNotify, gormstore.ReplicaOptions{Settings: settings, KeyIDs: []string{"a", "b"}, Version: "1", Logger: logger})
	same := db.Presence(gormstore.CourierNotify, gormstore.ReplicaOptions{Settings: settings, KeyIDs: []string{"b", "a"}, Logger: logger})
	silent := db.Presence(gormstore.CourierNotify, gormstore.ReplicaOptions{Logger: logger})
	for _, p := range []*gormstore.Presence{one, same, silent, one, same, silent} {
		must(t, p.Announce(ctx))
	}
	is(3)
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
	must(t, one.Announce(ctx))
	is(1)
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
