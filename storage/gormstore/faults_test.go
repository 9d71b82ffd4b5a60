package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// A database that is killed, comes back, and is paused, under load: each call
// gives the right answer or an error, within the deadline, and never "not found".
// Nothing needs a restart.
func TestPostgresFaults(t *testing.T) {
	t.Run("attack_217_killed_and_paused", postgresFaults)
}

func postgresFaults(t *testing.T) {
	server := pgtest.Private(t)
	s := migrated(t, opened(t)(postgres.Open(server.URL(), &gormstore.Options{Timeout: time.Second})))
	ctx := context.Background()
	u := storage.User{ID: "1", Name: "alice", Active: true}
	tok := storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "1", Salt: []byte("s"), KeyID: "k"}
	if err := errors.Join(s.CreateUser(ctx, u), s.PutStaticToken(ctx, tok, storage.Digest{})); err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	var good, failed atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				begin := time.Now()
				_, got, err := s.StaticTokenByDigest(ctx, tok.Digest)
				switch {
				case errors.Is(err, storage.ErrNotFound):
					t.Error("a fault looks like an unknown token")
				case err != nil:
					failed.Add(1)
				case got.Name != "alice":
					t.Errorf("%+v", got)
				default:
					good.Add(1)
				}
				if took := time.Since(begin); took > 4*time.Second {
					t.Errorf("a call took %v", took)
				}
			}
		})
	}
	// until waits for n more of a kind of outcome.
	until := func(what string, counter *atomic.Int64, n int64) {
		t.Helper()
		from, begin := counter.Load(), time.Now()
		for counter.Load() < from+n {
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("%s: none within 20 s", what)
			}
			time.Sleep(5 * time.Millisecond) //house: a real process is awaited
		}
	}
	until("before", &good, 100)
	for i := range 3 {
		server.Kill()
		until(fmt.Sprint("killed ", i), &failed, 20)
		server.Start()
		begin := time.Now()
		until(fmt.Sprint("started ", i), &good, 100)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("recovery took %v", took)
		}
	}
	server.Pause()
	until("paused", &failed, 20)
	server.Resume()
	until("resumed", &good, 100)
	close(stop)
	wg.Wait()
	settled(t, s, goroutines)
	t.Logf("%d answers, %d errors", good.Load(), failed.Load())
}

// While the application holds every connection, a read ends with its context or
// the store's timeout.
func TestConnectionsHeld_attack_225(t *testing.T) {
	for name, path := range map[string]string{"file": filepath.Join(t.TempDir(), "db"), "memory": ":memory:"} {
		t.Run(name, func(t *testing.T) {
			s := migrated(t, opened(t)(sqlite.Open(path, &gormstore.Options{Timeout: 50 * time.Millisecond})))
			pool, err := s.DB(t.Context()).DB()
			if err != nil {
				t.Fatal(err)
			}
			read := func(ctx context.Context) error {
				_, _, err := s.StaticTokenByDigest(ctx, storage.DigestOf("x"))
				return err
			}
			if err := read(t.Context()); !errors.Is(err, storage.ErrNotFound) {
				t.Fatal(err)
			}
			for range pool.Stats().MaxOpenConnections {
				c, err := pool.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			if err := read(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
}
