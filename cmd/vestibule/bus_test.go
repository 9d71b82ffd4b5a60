package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// What this command revokes, a running server refuses within the bound, though it had it in its cache.
func TestCommandsReachServers(t *testing.T) {
	url := pgtest.URL(t)
	t.Setenv("VESTIBULE_DB", url)
	run := func(stdin, args, want string) {
		t.Helper()
		var out strings.Builder
		err := command(strings.NewReader(stdin), &out, &out).Run(t.Context(), append([]string{"vestibule"}, strings.Fields(args)...))
		if err != nil || !strings.Contains(out.String(), want) {
			t.Fatalf("%s: %s, %v", args, out.String(), err)
		}
	}
	run("", "migrate", "schema version")
	run("", "courier", "none")
	run("wonderland-42\n", "user create alice", "created")
	run("", "user logout-everywhere alice", "within its TTL")
	db, err := postgres.Open(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	courier, err := postgres.NewNotify(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	run("", "courier", "notify")
	server, err := cached.New(db, &cached.Options{Courier: courier, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(ctx) })
	defer running.Wait()
	defer stop()
	u, err := db.UserByName(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"logout-everywhere", "passwd", "disable"} {
		t.Run("attack_429_"+name, func(t *testing.T) {
			digest := storage.DigestOf(name)
			epoch, err := db.SubjectEpoch(ctx, u.ID)
			if err == nil {
				_, err = db.CreateCredential(ctx, storage.Credential{Digest: digest, Purpose: "knox", ID: name, Subject: u.ID, Epoch: epoch, Created: time.Now()}, storage.CredentialLimit{})
			}
			if err != nil {
				t.Fatal(err)
			}
			good := func() bool {
				_, _, err := server.CredentialByDigest(ctx, "knox", digest)
				if err != nil && !errors.Is(err, storage.ErrNotFound) {
					t.Fatal(err)
				}
				return err == nil
			}
			for !server.Freshness().Lease || !good() {
				if err := db.Ping(ctx); err != nil {
					t.Fatal(err)
				}
			}
			run("looking-glass-42\n", "user "+name+" alice", "servers with a cache follow within 250ms")
			revoked := time.Now()
			for began := time.Now(); good(); began = time.Now() {
				if late := began.Sub(revoked); late > bus.Bound {
					t.Fatalf("accepted %v later", late)
				}
			}
		})
	}
	run("", "courier outbox", "outbox")
	if name, err := db.Courier(ctx); name != gormstore.CourierOutbox || err != nil {
		t.Error(name, err)
	}
	run("", "migrate -triggers", "no account table")
	if err := db.DB(ctx).Exec("CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT)").Error; err != nil {
		t.Fatal(err)
	}
	if err := db.DB(ctx).Exec("UPDATE vestibule_spaces SET table_name = 'public.people', id_type = 'integer'").Error; err != nil {
		t.Fatal(err)
	}
	run("", "migrate -triggers", "created triggers on public.people")
}
