package cached_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// now is where the tests' clocks stand: soon after the suite's records were made.
var now = time.Date(2026, 2, 3, 4, 6, 0, 0, time.UTC)

func still() time.Time { return now }

// stores open an empty store of every kind. Those of a database have more time than
// usual: many lookups at once wait for each other on a busy machine.
var stores = map[string]func(*testing.T) cached.Base{
	"memory": func(*testing.T) cached.Base { return memory.New(nil) },
	"sqlite": func(t *testing.T) cached.Base {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), &gormstore.Options{Timeout: 20 * time.Second})
		return migrated(t, s, err)
	},
	"postgres": func(t *testing.T) cached.Base {
		return storetest.Postgres(t, &gormstore.Options{Timeout: 20 * time.Second})
	},
}

func migrated(t *testing.T, s *gormstore.Store, err error) cached.Base {
	t.Helper()
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	must(t, s.Migrate(t.Context()))
	return s
}

// each runs f on a store of every kind.
func each(t *testing.T, f func(t *testing.T, base cached.Base)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			oneDatabase(t, name)
			f(t, open(t))
		})
	}
}

// oneDatabase skips the second database where the race detector is what -short is for.
func oneDatabase(t *testing.T, name string) {
	t.Helper()
	if testing.Short() && name == "sqlite" {
		t.Skip("the cache is the same before both databases")
	}
}

// The suite passes with a cache in front whose entries never end by themselves, so that
// only invalidation keeps them true.
func TestConformance(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			oneDatabase(t, name)
			t.Parallel()
			storagetest.Run(t, func(t *testing.T) storagetest.Store { return over(t, open(t), &cached.Options{Clock: still}) })
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
