package gormstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	driver "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// A program that may not change the schema, or not write at all, starts where there is nothing
// to change, and learns otherwise what it lacks.
func TestMigrateWithFewRights(t *testing.T) {
	ctx := context.Background()
	says := func(t *testing.T, err error, words ...string) {
		t.Helper()
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("the error does not say %q: %v", w, err)
			}
		}
	}
	t.Run("postgres", func(t *testing.T) {
		owned := pgtest.URL(t)
		owner := opened(t)(postgres.Open(owned, &patient))
		role := "r" + strings.ToLower(rand.Text())
		exec := func(statements ...string) {
			t.Helper()
			for _, q := range statements {
				if err := owner.DB(ctx).Exec(q).Error; err != nil {
					t.Fatal(q, err)
				}
			}
		}
		exec("CREATE ROLE "+role+" LOGIN PASSWORD 'few'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
		t.Cleanup(func() { exec("DROP OWNED BY "+role, "DROP ROLE "+role) })
		as := func(readOnly string) *gormstore.Store {
			u, err := url.Parse(owned)
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.UserPassword(role, "few")
			if q := u.Query(); readOnly != "" {
				q.Set("default_transaction_read_only", readOnly)
				u.RawQuery = q.Encode()
			}
			return opened(t)(postgres.Open(u.String(), &patient))
		}
		t.Run("edge_C06/empty database", func(t *testing.T) { says(t, as("").Migrate(ctx), "CREATE", "owner", "version 0") })
		if err := owner.MigrateSchema(ctx); err != nil {
			t.Fatal(err)
		}
		t.Run("edge_C06/no rights at all", func(t *testing.T) { says(t, as("").Migrate(ctx), "SELECT") })
		exec("GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + role)
		t.Run("edge_C06/no right to record", func(t *testing.T) {
			err := as("").Migrate(ctx)
			says(t, err, "INSERT on vestibule_spaces")
		})
		exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + role)
		t.Run("edge_C06/read-only transactions, not recorded", func(t *testing.T) {
			says(t, as("on").Migrate(ctx), "read-only", "vestibule_spaces")
		})
		t.Run("edge_C06/DML alone", func(t *testing.T) {
			s := as("")
			if err := errors.Join(s.Migrate(ctx), s.Migrate(ctx), s.CreateUser(ctx, storage.User{ID: "1", Name: "ann", Active: true})); err != nil {
				t.Fatal(err)
			}
			u := people("others")
			if err := opened(t)(postgres.Open(owned, &gormstore.Options{Users: u})).Migrate(ctx); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("the record of a role with few rights does not count: %v", err)
			}
		})
		t.Run("edge_C06/read-only transactions", func(t *testing.T) {
			s := as("on")
			if err := errors.Join(s.Migrate(ctx), s.CheckSchema(ctx)); err != nil {
				t.Error(err)
			}
			if u, err := s.UserByName(ctx, "ann"); err != nil || u.ID != "1" {
				t.Errorf("%+v, %v", u, err)
			}
		})
		t.Run("edge_C06/old schema", func(t *testing.T) {
			exec("DELETE FROM vestibule_migrations WHERE version = (SELECT MAX(version) FROM vestibule_migrations)")
			says(t, as("").Migrate(ctx), "CREATE", "owner")
			says(t, as("on").Migrate(ctx), "read-only")
		})
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		s := migrated(t, opened(t)(sqlite.Open(path, &patient)))
		if err := s.CreateUser(ctx, storage.User{ID: "1", Name: "ann", Active: true}); err != nil {
			t.Fatal(err)
		}
		readOnly := func(path string) *gormstore.Store {
			db, err := gorm.Open(driver.Open("file:"+path+"?mode=ro"), gormstore.Config())
			if err != nil {
				t.Fatal(err)
			}
			return opened(t)(gormstore.Own(db, nil))
		}
		t.Run("edge_C06/read-only file", func(t *testing.T) {
			r := readOnly(path)
			if err := errors.Join(r.Migrate(ctx), r.CheckSchema(ctx)); err != nil {
				t.Error(err)
			}
			if u, err := r.UserByName(ctx, "ann"); err != nil || u.ID != "1" {
				t.Errorf("%+v, %v", u, err)
			}
			if err := r.SetActive(ctx, "1", false); err == nil {
				t.Error("a read-only database was changed")
			}
		})
		t.Run("edge_C06/read-only file, old schema", func(t *testing.T) {
			old := filepath.Join(t.TempDir(), "old")
			empty, err := sqlite.Open(old, &patient)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(empty.Ping(ctx), empty.Close()); err != nil {
				t.Fatal(err)
			}
			says(t, readOnly(old).Migrate(ctx), "read-only")
		})
	})
}
