package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// A SQLite file that is full, read-only or removed: writes fail with an error that is no answer
// about the credential, reads go on, and the file is sound afterwards.
func TestSQLiteFaults(t *testing.T) {
	ctx := context.Background()
	type world struct {
		s    *gormstore.Store
		path string
		exec func(string)
	}
	open := func(t *testing.T) world {
		path := filepath.Join(t.TempDir(), "db")
		s := migrated(t, opened(t)(sqlite.Open(path, &gormstore.Options{Timeout: time.Second})))
		furnish(t, s)
		pool, err := s.DB(ctx).DB()
		if err != nil {
			t.Fatal(err)
		}
		pool.SetMaxOpenConns(1) // the settings below are a connection's
		return world{s, path, func(statement string) {
			t.Helper()
			if _, err := pool.ExecContext(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}}
	}
	sound := func(t *testing.T, w world) {
		t.Helper()
		var verdict string
		if err := w.s.DB(ctx).Raw("PRAGMA integrity_check").Scan(&verdict).Error; err != nil || verdict != "ok" {
			t.Errorf("integrity: %q, %v", verdict, err)
		}
	}
	put := func(s *gormstore.Store, name string) error {
		return s.CreateUser(ctx, storage.User{ID: name, Name: name, Password: storage.PasswordHash(strings.Repeat("x", 2000)), Active: true})
	}
	t.Run("attack_224_full", func(t *testing.T) {
		w := open(t)
		w.exec("PRAGMA max_page_count = 1") // SQLite takes the present size instead: it is full
		var err error
		n := 0
		for ; n < 1000 && err == nil; n++ {
			err = put(w.s, fmt.Sprint("user", n))
		}
		if err == nil || isAnswer(err) {
			t.Fatalf("after %d rows: %v", n, err)
		}
		if _, _, err := w.s.StaticTokenByDigest(ctx, storage.DigestOf("x")); err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a read of a full database: %v", err)
		}
		w.exec("PRAGMA max_page_count = 1000000")
		if err := put(w.s, "again"); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		sound(t, w)
	})
	t.Run("attack_224_read_only", func(t *testing.T) {
		w := open(t)
		w.exec("PRAGMA query_only = 1")
		if err := put(w.s, "x"); err == nil || isAnswer(err) {
			t.Errorf("%v", err)
		}
		if _, err := w.s.BumpEpoch(ctx, "1"); err == nil || isAnswer(err) {
			t.Errorf("log-out-everywhere: %v", err)
		}
		w.exec("PRAGMA query_only = 0")
		if _, err := w.s.BumpEpoch(ctx, "1"); err != nil {
			t.Error(err)
		}
		sound(t, w)
	})
	t.Run("attack_224_removed", func(t *testing.T) {
		w := open(t)
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(w.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		// The open connection serves the removed file; one that is opened afterwards finds no tables.
		again := opened(t)(sqlite.Open(w.path, &gormstore.Options{Timeout: time.Second}))
		if _, _, err := again.StaticTokenByDigest(ctx, storage.DigestOf("x")); err == nil || isAnswer(err) {
			t.Errorf("a store without tables: %v", err)
		}
	})
	t.Run("attack_224_not_a_database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(path, nil)
		if err == nil {
			t.Cleanup(func() { _ = s.Close() })
			_, _, err = s.StaticTokenByDigest(ctx, storage.DigestOf("x"))
		}
		if err == nil || isAnswer(err) {
			t.Errorf("%v", err)
		}
	})
}

// Pruning by two processes at once removes what has expired and nothing that is used meanwhile.
func TestPruneRacesUse(t *testing.T) {
	for name, open := range databases {
		t.Run("attack_229_"+name, func(t *testing.T) {
			ctx := context.Background()
			s := migrated(t, open(t, &gormstore.Options{Timeout: 20 * time.Second}))
			furnish(t, s)
			now := time.Unix(5000, 0)
			if _, err := s.Prune(ctx, now, 1000); err != nil { // what furnish left
				t.Fatal(err)
			}
			const live, dead = 40, 400
			digest := func(kind string, i int) storage.Digest { return storage.DigestOf(fmt.Sprint(kind, i)) }
			create := func(kind string, i int, expires time.Time) {
				epoch, err := s.SubjectEpoch(ctx, "1")
				if err == nil {
					_, err = s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: digest(kind, i), ID: fmt.Sprint(kind, i), Subject: "1", Epoch: epoch, Expires: expires}, storage.CredentialLimit{})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for i := range live {
				create("live", i, now.Add(time.Microsecond))
			}
			for i := range dead {
				create("dead", i, now)
			}
			var pruned, used atomic.Int64
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for range 4 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						for i := range live {
							if _, _, err := s.CredentialByDigest(ctx, "knox", digest("live", i)); err != nil {
								t.Errorf("a live token: %v", err)
								return
							}
							used.Add(1)
						}
					}
				})
			}
			var pruners sync.WaitGroup
			for range 2 {
				pruners.Go(func() {
					for pruned.Load() < dead {
						n, err := s.Prune(ctx, now, 30)
						if err != nil {
							t.Errorf("prune: %v", err)
							return
						}
						pruned.Add(int64(n))
					}
				})
			}
			pruners.Wait()
			close(stop)
			wg.Wait()
			if pruned.Load() != dead {
				t.Errorf("pruned %d of %d", pruned.Load(), dead)
			}
			for i := range live {
				if _, _, err := s.CredentialByDigest(ctx, "knox", digest("live", i)); err != nil {
					t.Errorf("token %d: %v", i, err)
				}
			}
			t.Logf("%d uses meanwhile", used.Load())
		})
	}
}
