// Package storetest opens every kind of store for a test: memory, SQLite and PostgreSQL.
// A package that opens many on PostgreSQL has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// so that its tests use databases one after the other, and not each a new one.
package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// databases are those of the test process; package testing leaves no other place for
// what outlives a test.
var databases = pgtest.Pool{Keep: "vestibule_migrations", Prepare: func(ctx context.Context, url string) error {
	s, err := postgres.Open(url, nil)
	if err != nil {
		return err
	}
	return errors.Join(s.MigrateSchema(ctx), s.Close()) // which account table it has, a test decides
}}

// Main runs the tests, drops the databases that URL kept, and exits.
func Main(m *testing.M) { os.Exit(databases.Main(m)) }

// URL returns the URL of a PostgreSQL database that is migrated, empty, and this test's
// alone until it ends. For one without tables there is pgtest.URL.
func URL(t testing.TB) string {
	t.Helper()
	return databases.URL(t)
}

// Each runs f on an empty store of every kind, as subtests of their names. Those of a
// database are *gormstore.Store, and have more time than usual: the callers of a race
// wait for each other, on a busy machine with the race detector for long.
func Each(t *testing.T, f func(t *testing.T, s storagetest.Store)) {
	opts := gormstore.Options{Timeout: 20 * time.Second}
	open := func(t *testing.T, s *gormstore.Store, err error) *gormstore.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("memory", func(t *testing.T) { f(t, memory.New(nil)) })
	t.Run("sqlite", func(t *testing.T) {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), &opts)
		f(t, open(t, s, err))
	})
	t.Run("postgres", func(t *testing.T) {
		s, err := postgres.Open(URL(t), &opts)
		f(t, open(t, s, err))
	})
}
