// Package storetest opens every kind of store for a test: memory, SQLite and PostgreSQL.
// A package that opens many on PostgreSQL has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// so that its tests use databases one after the other, and not each a new one.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// databases are those of the test process; package testing leaves no other place for
// what outlives a test.
var databases = Pool(func(url string) (*sql.DB, error) {
	s, err := postgres.Open(url, nil)
	if err != nil {
		return nil, err
	}
	return s.DB(context.Background()).DB()
})

// Pool returns a pool of migrated databases. connect is pgtest.Pool's Connect.
func Pool(connect func(url string) (*sql.DB, error)) *pgtest.Pool {
	return &pgtest.Pool{Keep: "vestibule_migrations", Connect: connect, Prepare: func(ctx context.Context, url string) error {
		s, err := postgres.Open(url, nil)
		if err != nil {
			return err
		}
		return errors.Join(s.MigrateSchema(ctx), s.Close()) // which account table it has, a test decides
	}}
}

// Main runs the tests, drops the databases that URL kept, and exits.
func Main(m *testing.M) { os.Exit(databases.Main(m)) }

// URL returns the URL of a PostgreSQL database that is migrated, empty, and this test's
// alone until it ends. For one without tables there is pgtest.URL.
func URL(t testing.TB) string {
	t.Helper()
	return databases.URL(t)
}

// Postgres returns a store on a database that is migrated, empty, and this test's alone until it
// ends. Its connections are used by other tests afterwards, so a test that changes tables, or the
// settings of a session, or that has an account table of its own, opens a URL.
func Postgres(t testing.TB, opts *gormstore.Options) *gormstore.Store {
	t.Helper()
	return Over(t, databases.Open(t), opts)
}

// Over returns a store over connections to PostgreSQL, and migrates it.
func Over(t testing.TB, conns *sql.DB, opts *gormstore.Options) *gormstore.Store {
	t.Helper()
	cfg := gormstore.Config()
	cfg.DisableAutomaticPing = true
	db, err := gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: conns}), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := gormstore.New(db, opts)
	return opened(t, s, err)
}

// opened migrates a store, and closes it when the test ends.
func opened(t testing.TB, s *gormstore.Store, err error) *gormstore.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Each runs f on an empty store of every kind, as subtests of their names. Those of a
// database are *gormstore.Store, and have more time than usual: the callers of a race
// wait for each other, on a busy machine with the race detector for long. Close leaves
// the connections to PostgreSQL open for the next test: a test that closes its store so
// that the database is gone calls EachOwn. With -short, which is for the race detector,
// SQLite is left out.
func Each(t *testing.T, f func(t *testing.T, s storagetest.Store)) { each(t, f, Postgres) }

// EachOwn is Each with stores that own their connections, as those of postgres.Open do:
// after Close the database is gone.
func EachOwn(t *testing.T, f func(t *testing.T, s storagetest.Store)) {
	each(t, f, func(t testing.TB, opts *gormstore.Options) *gormstore.Store {
		s, err := postgres.Open(URL(t), opts)
		return opened(t, s, err)
	})
}

func each(t *testing.T, f func(*testing.T, storagetest.Store), onPostgres func(testing.TB, *gormstore.Options) *gormstore.Store) {
	opts := gormstore.Options{Timeout: 20 * time.Second}
	t.Run("memory", func(t *testing.T) { f(t, memory.New(nil)) })
	t.Run("sqlite", func(t *testing.T) {
		if testing.Short() {
			t.Skip("what is concurrent above the store runs on the other two")
		}
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), &opts)
		f(t, opened(t, s, err))
	})
	t.Run("postgres", func(t *testing.T) { f(t, onPostgres(t, &opts)) })
}
