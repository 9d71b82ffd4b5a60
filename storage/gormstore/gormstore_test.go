package gormstore_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// databases are what everything here runs on.
var databases = map[string]func(testing.TB, *gormstore.Options) *gormstore.Store{
	"sqlite":   openSQLite,
	"memory":   openMemory,
	"postgres": openPostgres,
}

func openSQLite(t testing.TB, opts *gormstore.Options) *gormstore.Store {
	return opened(t)(sqlite.Open(filepath.Join(t.TempDir(), "a b%?#.db"), opts))
}

func openMemory(t testing.TB, opts *gormstore.Options) *gormstore.Store {
	return opened(t)(sqlite.Open(":memory:", opts))
}

// openPostgres uses the connections of earlier tests, unless the tables are the test's own.
func openPostgres(t testing.TB, opts *gormstore.Options) *gormstore.Store {
	if opts == nil || opts.Users == nil && opts.Tables == nil {
		return storetest.Postgres(t, opts)
	}
	return opened(t)(postgres.Open(storetest.URL(t), opts))
}

func opened(t testing.TB) func(*gormstore.Store, error) *gormstore.Store {
	return func(s *gormstore.Store, err error) *gormstore.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
}

func migrated(t testing.TB, s *gormstore.Store) *gormstore.Store {
	t.Helper()
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// sequential skips a test that takes long and starts no goroutines where the race detector is
// what -short is for; see "make race".
func sequential(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
}

// The races of the suite are 64 transactions that wait for each other: a busy machine
// with the race detector needs more than the usual timeout for them.
func TestConformance(t *testing.T) {
	opts := gormstore.Options{Timeout: 20 * time.Second}
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "memory" {
				t.Skip("the store is the same on a file of SQLite")
			}
			t.Parallel()
			storagetest.Run(t, func(t *testing.T) storagetest.Store { return migrated(t, open(t, &opts)) })
		})
	}
}
