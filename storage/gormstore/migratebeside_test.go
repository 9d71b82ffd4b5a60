package gormstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// errNewer is what an older program returns if a newer one has migrated.
var errNewer = errors.New("newer schema")

// migrateAsBefore18 migrates as programs with schema version 17 do: under an advisory lock.
func migrateAsBefore18(ctx context.Context, url string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, q := range []string{
		"SELECT pg_advisory_xact_lock(7809641870338124901)",
		"CREATE TABLE IF NOT EXISTS vestibule_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_us BIGINT NOT NULL)",
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	var have int
	if err := tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM vestibule_migrations").Scan(&have); err != nil {
		return err
	}
	if have > 17 {
		return errNewer
	}
	all, err := gormstore.Statements("postgres")
	if err != nil {
		return err
	}
	for _, statements := range all[have:17] {
		for _, q := range statements {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("%.40s: %w", q, err)
			}
		}
	}
	return tx.Commit()
}

// Programs of both sides of the change of the lock migrate one database at once. One does it, and
// none fails.
func TestMigrateBesideOlder(t *testing.T) {
	for name, x := range map[string]struct {
		older int
		set   func(*gormstore.Store)
		param string
	}{
		"beside programs of version 17":  {3, nil, ""},
		"only with rows":                 {0, (*gormstore.Store).WithoutAdvisory, ""},
		"only with rows, serializable":   {0, (*gormstore.Store).WithoutAdvisory, "&default_transaction_isolation=serializable"},
		"serializable, beside older":     {3, nil, "&default_transaction_isolation=serializable"},
		"only with rows, without caches": {0, (*gormstore.Store).WithoutAdvisory, "&default_query_exec_mode=exec"},
	} {
		t.Run("attack_226/"+name, func(t *testing.T) {
			ctx := t.Context()
			for range 2 {
				url := pgtest.URL(t)
				var wg sync.WaitGroup
				start := make(chan struct{})
				for range 4 {
					s := opened(t)(postgres.Open(url+x.param, &patient))
					if x.set != nil {
						x.set(s)
					}
					wg.Go(func() {
						<-start
						if err := s.Migrate(ctx); err != nil {
							t.Error("this version:", err)
						}
					})
				}
				for range x.older {
					wg.Go(func() {
						<-start
						if err := migrateAsBefore18(ctx, url); err != nil && !errors.Is(err, errNewer) {
							t.Error("version 17:", err)
						}
					})
				}
				close(start)
				wg.Wait()
				s := opened(t)(postgres.Open(url, &patient))
				var rows int
				if err := s.DB(ctx).Raw("SELECT count(*) FROM vestibule_migrations").Scan(&rows).Error; err != nil || rows != files(t, "postgres") {
					t.Errorf("%d migrations are recorded: %v", rows, err)
				}
				if err := s.CheckSchema(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A transaction of another program holds a table for long: a migration does not make requests wait
// behind it, and goes on when the table is free.
func TestMigrateBehindTransaction(t *testing.T) {
	t.Run("attack_226/a table that is held", func(t *testing.T) {
		ctx := t.Context()
		url := pgtest.URL(t)
		if err := migrateAsBefore18(ctx, url); err != nil {
			t.Fatal(err)
		}
		other := opened(t)(postgres.Open(url, &patient))
		held, release, waited := make(chan struct{}), make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := other.InTx(ctx, func(ctx context.Context) error {
				// What a backup, or a manual vacuum, holds.
				err := other.DB(ctx).Exec("LOCK TABLE vestibule_sessions IN SHARE UPDATE EXCLUSIVE MODE").Error
				close(held)
				<-release
				return err
			}); err != nil {
				t.Error(err)
			}
		})
		<-held
		s := opened(t)(postgres.Open(url, &patient))
		tries := 0
		s.Migrating(func(statement string) {
			if !strings.Contains(statement, "reloptions") { // the one that waits
				return
			}
			if tries++; tries == 3 {
				close(waited)
			}
		})
		wg.Go(func() {
			if err := s.Migrate(ctx); err != nil {
				t.Error(err)
			}
		})
		<-waited
		close(release)
		wg.Wait()
		if have, want, err := s.Schema(ctx); have != want || err != nil {
			t.Error(have, want, err)
		}
	})
}
