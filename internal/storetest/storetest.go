// Package storetest opens every kind of store for a test: memory, SQLite and PostgreSQL.
package storetest

import (
	"path/filepath"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Each runs f on an empty store of every kind, as subtests of their names. Those of a
// database are *gormstore.Store.
func Each(t *testing.T, f func(t *testing.T, s storagetest.Store)) {
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
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), nil)
		f(t, open(t, s, err))
	})
	t.Run("postgres", func(t *testing.T) {
		s, err := postgres.Open(pgtest.URL(t), nil)
		f(t, open(t, s, err))
	})
}
