package gormstore_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// several opens one database several times, as processes do.
func several(t *testing.T, kind string, n int, opts *gormstore.Options) []*gormstore.Store {
	if opts == nil {
		opts = &patient
	}
	var all []*gormstore.Store
	path, url := filepath.Join(t.TempDir(), "db"), ""
	if kind == "postgres" {
		url = pgtest.URL(t)
	}
	for range n {
		if kind == "postgres" {
			all = append(all, opened(t)(postgres.Open(url, opts)))
		} else {
			all = append(all, opened(t)(sqlite.Open(path, opts)))
		}
	}
	return all
}

// files is how many migrations there are.
func files(t *testing.T, kind string) int {
	t.Helper()
	all, err := gormstore.Migrations(kind)
	if err != nil {
		t.Fatal(err)
	}
	list, err := fs.Glob(all, "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// withoutFactorsAndLinks are the statements that undo the migrations 20 and 21.
func withoutFactorsAndLinks() []string {
	list := []string{"DROP TABLE vestibule_links", "DROP TABLE vestibule_factors"}
	for _, table := range []string{"sessions", "families", "codes", "access_tokens", "device_grants"} {
		list = append(list, "ALTER TABLE vestibule_"+table+" DROP COLUMN acr", "ALTER TABLE vestibule_"+table+" DROP COLUMN amr")
	}
	return list
}

// What a client might ask tokens for before there were two rights it may still ask tokens
// for; it serves nothing until somebody says so.
func TestResourcesOfEarlierVersions(t *testing.T) {
	ctx := t.Context()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run("edge_A07/"+kind, func(t *testing.T) {
			s := several(t, kind, 1, nil)[0]
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			drop := "ALTER TABLE vestibule_clients DROP COLUMN serves"
			bus := []string{"DROP TABLE IF EXISTS vestibule_bus, vestibule_bus_shards, vestibule_outbox, vestibule_bus_pending, vestibule_replicas"}
			if kind == "sqlite" {
				bus = nil
			} else {
				for _, f := range []string{"row()", "gone()", "account()", "number()", "tell(TEXT)", "block(TEXT, TEXT)", "changed(TEXT, TEXT)", "client()"} {
					bus = append(bus, "DROP FUNCTION vestibule_bus_"+f+" CASCADE") // and the triggers
				}
			}
			row := `INSERT INTO vestibule_clients (id, name, method, password, native, trusted, disabled, lists, created_us) VALUES ('old', '', 'none', '', FALSE, FALSE, FALSE, '{"audiences":["https://api.example"]}', 0)`
			bus = append(append(withoutFactorsAndLinks(), bus...), "DROP TABLE vestibule_audit", "DROP TABLE vestibule_token_lifetimes", "DROP TABLE vestibule_changes", "DROP INDEX vestibule_subjects_epoch")
			for _, sql := range append(bus,
				drop, "ALTER TABLE vestibule_clients DROP COLUMN revoked_us", "ALTER TABLE vestibule_device_tokens DROP COLUMN purpose", "ALTER TABLE vestibule_device_tokens DROP COLUMN data",
				"DROP INDEX vestibule_codes_open", "DROP INDEX vestibule_refresh_tokens_answer", "DROP INDEX vestibule_families_live", "ALTER TABLE vestibule_refresh_tokens DROP COLUMN nth",
				"DELETE FROM vestibule_migrations WHERE version >= 11", row,
			) {
				if err := s.DB(ctx).Exec(sql).Error; err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			c, err := s.ClientByID(ctx, "old")
			if err != nil || !slices.Equal(c.Resources, []string{"https://api.example"}) || len(c.Serves) != 0 {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

func TestMigrations(t *testing.T) {
	ctx := context.Background()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			stores := several(t, kind, 8, nil)
			if have, want, err := stores[0].Schema(ctx); err != nil || have != 0 || want < 1 {
				t.Errorf("an empty database: %d, %d, %v", have, want, err)
			}
			if err := stores[0].CheckSchema(ctx); err == nil {
				t.Error("CheckSchema finds nothing wrong with an empty database")
			}
			var wg sync.WaitGroup
			for _, s := range stores {
				wg.Go(func() {
					if err := s.Migrate(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			s := stores[0]
			have, want, err := s.Schema(ctx)
			if err != nil || have != want {
				t.Errorf("%d, %d, %v", have, want, err)
			}
			if err := errors.Join(s.Migrate(ctx), s.CheckSchema(ctx)); err != nil {
				t.Errorf("again: %v", err)
			}
			var rows int64
			if err := s.DB(ctx).Raw("SELECT COUNT(*) FROM vestibule_migrations").Scan(&rows).Error; err != nil || rows != int64(files(t, kind)) {
				t.Errorf("%d rows, %v", rows, err)
			}
			// Drift.
			if err := s.DB(ctx).Exec("ALTER TABLE vestibule_static_tokens DROP COLUMN key_id").Error; err != nil {
				t.Fatal(err)
			}
			if err := s.CheckSchema(ctx); err == nil || !strings.Contains(err.Error(), "vestibule_static_tokens") {
				t.Errorf("a lost column: %v", err)
			}
			// A newer program was here.
			if err := s.DB(ctx).Exec("INSERT INTO vestibule_migrations (version, name, applied_us) VALUES (9999, 'future', 0)").Error; err != nil {
				t.Fatal(err)
			}
			if err := s.Migrate(ctx); !errors.Is(err, gormstore.ErrNewerSchema) {
				t.Errorf("a newer schema: %v", err)
			}
			if err := s.CheckSchema(ctx); !errors.Is(err, gormstore.ErrNewerSchema) {
				t.Errorf("a newer schema: %v", err)
			}
		})
		t.Run(kind+"/crash_half_way", func(t *testing.T) {
			s := several(t, kind, 1, nil)[0]
			err := s.MigrateTo(ctx, "CREATE TABLE half (a BIGINT)", "CREATE TABEL broken")
			if err == nil {
				t.Fatal("a broken migration succeeded")
			}
			if have, _, err := s.Schema(ctx); err != nil || have != 0 {
				t.Errorf("version %d, %v", have, err)
			}
			if err := s.DB(ctx).Exec("SELECT * FROM half").Error; err == nil {
				t.Error("half of a migration stayed")
			}
			if err := s.Migrate(ctx); err != nil {
				t.Errorf("after a failed one: %v", err)
			}
		})
	}
	t.Run("files", func(t *testing.T) {
		var names [2][]string
		for i, d := range []string{"sqlite", "postgres"} {
			files, err := gormstore.Migrations(d)
			if err != nil {
				t.Fatal(err)
			}
			names[i], err = fs.Glob(files, "*.sql")
			if err != nil || len(names[i]) == 0 {
				t.Errorf("%s: %v, %v", d, names[i], err)
			}
		}
		if strings.Join(names[0], " ") != strings.Join(names[1], " ") {
			t.Errorf("the dialects have different migrations: %v", names)
		}
		if _, err := gormstore.Migrations("mysql"); err == nil {
			t.Error("mysql has migrations")
		}
	})
}

// Another process holds the write lock for longer than a call may take: an error
// within the deadline, and no answer that would be a lie.
func TestLockedFile_attack_224(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "db")
	s := migrated(t, opened(t)(sqlite.Open(path, &gormstore.Options{Timeout: 300 * time.Millisecond})))
	other := opened(t)(sqlite.Open(path, &patient))
	release, held := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- other.InTx(ctx, func(ctx context.Context) error { close(held); <-release; return nil })
	}()
	<-held
	begin := time.Now()
	if _, err := s.BumpEpoch(ctx, "x"); err == nil {
		t.Error("a write succeeded under another's lock")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := s.SubjectEpoch(ctx, "x"); err != nil {
		t.Errorf("a reader waits for a writer: %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := s.BumpEpoch(ctx, "x"); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}
