package cached_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// now is where the tests' clocks stand: soon after the suite's records were made.
var now = time.Date(2026, 2, 3, 4, 6, 0, 0, time.UTC)

func still() time.Time { return now }

// The suite passes with a cache in front whose entries never end by themselves, so that
// only invalidation keeps them true; and again when each change is told to others within
// its transaction.
func TestConformance(t *testing.T) {
	opts := gormstore.Options{Timeout: 20 * time.Second}
	open := func(t *testing.T) func(*gormstore.Store, error) cached.Base {
		return func(s *gormstore.Store, err error) cached.Base {
			must(t, err)
			t.Cleanup(func() { _ = s.Close() })
			must(t, s.Migrate(t.Context()))
			return s
		}
	}
	for name, base := range map[string]func(*testing.T) cached.Base{
		"memory":   func(*testing.T) cached.Base { return memory.New(nil) },
		"sqlite":   func(t *testing.T) cached.Base { return open(t)(sqlite.Open(filepath.Join(t.TempDir(), "db"), &opts)) },
		"postgres": func(t *testing.T) cached.Base { return open(t)(postgres.Open(pgtest.URL(t), &opts)) },
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storagetest.Store {
				return over(t, base(t), &cached.Options{Clock: still})
			})
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func over(t testing.TB, base cached.Base, opts *cached.Options) *cached.Store {
	t.Helper()
	s, err := cached.New(base, opts)
	must(t, err)
	return s
}

// each runs f on a cache over every kind of store.
func each(t *testing.T, opts *cached.Options, f func(t *testing.T, s *cached.Store)) {
	storetest.Each(t, func(t *testing.T, base storagetest.Store) { f(t, over(t, base.(cached.Base), opts)) })
}
