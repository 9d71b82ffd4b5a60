package gormstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// withMode adds pgx's way to run statements to a database URL.
func withMode(url, mode string) string {
	if mode == "" {
		return url
	}
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	return url + sep + "default_query_exec_mode=" + mode
}

// pooled is what TestPooler proves in the second mode. The interfaces of the other parts are hidden.
type pooled struct {
	storage.Users
	storage.Accounts
	storage.Subjects
	storage.Credentials
	storage.CredentialList
	storage.Families
	storage.Clients
	storage.Transactor
}

// The whole suite, its races of 64 included, through PgBouncer in transaction mode with two
// connections, in the mode exec. Every query is run there, because pgx takes the types of the
// arguments from Go, not from the server.
//
// The mode simple_protocol writes the arguments into the statement, and nothing else differs. These
// parts have every type of argument (text, bytes, times, numbers, booleans, NULL), transactions,
// the locks of accounts and families with their races, and the strange texts. Other parts send the
// same types in more queries.
func TestPooler(t *testing.T) {
	opts := gormstore.Options{Timeout: 30 * time.Second}
	modes := []string{"exec", "simple_protocol"}
	if testing.Short() {
		modes = modes[:1] // our code is the same in both
	}
	for _, mode := range modes {
		t.Run("edge_C01/"+mode, func(t *testing.T) {
			t.Parallel()
			pool := storetest.Pool(func(url string) (*sql.DB, error) {
				s, err := postgres.Open(withMode(pgtest.Bouncer(t, url), mode), &opts)
				if err != nil {
					return nil, err
				}
				return s.DB(t.Context()).DB()
			})
			pool.Last(t)
			open := func(t *testing.T) storagetest.Store { return storetest.Over(t, pool.Open(t), &opts) }
			if mode == "exec" {
				storagetest.Run(t, open)
				return
			}
			storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
				s := open(t)
				return storagetest.Opened{Store: pooled{s, s, s, s, s, s, s, s}}
			}, storagetest.PartsOf(pooled{})...)
		})
	}
}

// lookups asks for many accounts at once, each with more than one statement, and returns the first
// error.
func lookups(t *testing.T, s *gormstore.Store) error {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for i := range 64 {
		wg.Go(func() {
			ctx := t.Context()
			for range 5 {
				_, _, err := s.StaticTokenByDigest(ctx, digest(i))
				if errors.Is(err, storage.ErrNotFound) {
					err = s.InTx(ctx, func(ctx context.Context) error { _, err := s.BumpEpoch(ctx, fmt.Sprint("nobody ", i)); return err })
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// What cannot work behind the pooler says what to set.
func TestPoolerModes(t *testing.T) {
	const hint = "default_query_exec_mode"
	opts := gormstore.Options{Timeout: 30 * time.Second}
	for _, mode := range []string{"", "cache_statement"} {
		t.Run("edge_C01/"+mode+" says what to set", func(t *testing.T) {
			s := opened(t)(postgres.Open(withMode(pgtest.Bouncer(t, storetest.URL(t)), mode), &opts))
			var err error
			for range 20 { // whether two clients meet on one connection is chance
				if err = lookups(t, s); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), hint) {
				t.Errorf("%v, want an error that names %s", err, hint)
			}
		})
	}
	t.Run("edge_C01/cache_describe", func(t *testing.T) {
		s := opened(t)(postgres.Open(withMode(pgtest.Bouncer(t, storetest.URL(t)), "cache_describe"), &opts))
		s = migrated(t, s)
		if err := lookups(t, s); err != nil {
			t.Error(err)
		}
	})
	t.Run("edge_C01/describe_exec is refused", func(t *testing.T) {
		direct := withMode(storetest.URL(t), "describe_exec")
		s := opened(t)(postgres.Open(direct, &opts))
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("without a pooler: %v", err)
		}
		s = opened(t)(postgres.Open(pgtest.Bouncer(t, direct), &opts))
		if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("behind a pooler: %v, want an error that names %s", err, hint)
		}
	})
	t.Run("edge_C01/gorm's own cache", func(t *testing.T) {
		url := withMode(pgtest.Bouncer(t, storetest.URL(t)), "exec")
		db, err := gorm.Open(gormpostgres.Open(url), &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
		if err != nil {
			t.Fatal(err)
		}
		s := migrated(t, opened(t)(gormstore.Own(db, &opts)))
		if err := lookups(t, s); err != nil {
			t.Error(err)
		}
		tx := db.Begin() // the application's
		if _, err := s.BumpEpoch(s.WithTx(t.Context(), tx), "nobody"); err != nil {
			t.Error(err)
		}
		if err := tx.Commit().Error; err != nil {
			t.Error(err)
		}
		if db.Statement.ConnPool.(*gorm.PreparedStmtDB) == nil || !db.PrepareStmt {
			t.Error("the application's handle was changed")
		}
	})
}
