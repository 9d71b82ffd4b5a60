package gormstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Tokens from before there were purposes are Knox tokens after the migration, and a program of
// the version before goes on to write them.
func TestPurposesOfEarlierVersions(t *testing.T) {
	ctx := t.Context()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := several(t, kind, 1, nil)[0]
			all, err := gormstore.Migrations(kind)
			if err != nil {
				t.Fatal(err)
			}
			names, err := fs.Glob(all, "*.up.sql")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names { // version 11, as its program made it
				if name >= "0012" {
					break
				}
				text, err := fs.ReadFile(all, name)
				if err != nil {
					t.Fatal(err)
				}
				for statement := range strings.SplitSeq(string(text), ";\n") {
					if err := s.DB(ctx).Exec(statement).Error; err != nil && strings.TrimSpace(statement) != "" {
						t.Fatal(name, err)
					}
				}
			}
			insert := func(text, id string) {
				t.Helper()
				d := storage.DigestOf(text)
				digest := fmt.Sprintf("x'%x'", d[:])
				if kind == "postgres" {
					digest = fmt.Sprintf(`'\x%x'`, d[:])
				}
				err := s.DB(ctx).Exec("INSERT INTO vestibule_device_tokens (digest, id, subject, name, scopes, epoch, created_us, expires_us, last_used_us, ttl_us, max_us)"+
					" VALUES ("+digest+", ?, 'alice', 'phone', 'read', 0, 1, 0, 0, 0, 0)", id).Error
				if err != nil {
					t.Fatal(err)
				}
			}
			insert("before", "a")
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			insert("meanwhile", "b")
			if err := s.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Active: true}); err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"before", "meanwhile"} {
				c, u, err := s.CredentialByDigest(ctx, "knox", storage.DigestOf(text))
				if err != nil || c.Purpose != "knox" || c.Name != "phone" || c.Data != nil || u.ID != "alice" {
					t.Errorf("%s: got %+v of %+v, %v", text, c, u, err)
				}
				if _, _, err := s.CredentialByDigest(ctx, "apikey", storage.DigestOf(text)); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("%s: another purpose gets %v", text, err)
				}
			}
			if list, err := s.CredentialPurposes(ctx, "alice"); err != nil || len(list) != 1 || list[0] != "knox" {
				t.Errorf("purposes %q, %v", list, err)
			}
			if err := s.CheckSchema(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// CheckSchema knows of tables that are not the library's.
func TestTables(t *testing.T) {
	ctx := t.Context()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := several(t, kind, 1, &gormstore.Options{Tables: []gormstore.Table{
				{Name: "api_keys", Columns: []string{"digest", "subject"}}, {Name: "audit", Columns: []string{"id"}},
			}})[0]
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			says := func(want ...string) {
				t.Helper()
				err := s.CheckSchema(ctx)
				if (err == nil) != (len(want) == 0) {
					t.Errorf("got %v", err)
				}
				for _, w := range want {
					if err == nil || !strings.Contains(err.Error(), w) {
						t.Errorf("got %v, want %q", err, w)
					}
				}
			}
			says("table api_keys does not exist", "table audit does not exist")
			if err := s.DB(ctx).Exec("CREATE TABLE api_keys (digest TEXT)").Error; err != nil {
				t.Fatal(err)
			}
			says("table api_keys lacks columns subject", "table audit does not exist")
			for _, sql := range []string{"ALTER TABLE api_keys ADD COLUMN subject TEXT", "CREATE TABLE audit (id TEXT)"} {
				if err := s.DB(ctx).Exec(sql).Error; err != nil {
					t.Fatal(err)
				}
			}
			says()
		})
	}
	for _, bad := range []gormstore.Table{
		{}, {Name: "a"}, {Name: "a b", Columns: []string{"c"}}, {Name: "a.b.c", Columns: []string{"c"}}, {Name: "a;b", Columns: []string{"c"}},
		{Name: "a", Columns: []string{"c, d"}}, {Name: "a", Columns: []string{""}}, {Name: "vestibule_users", Columns: []string{"id"}}, {Name: "app.Vestibule_x", Columns: []string{"id"}},
	} {
		s, err := sqlite.Open(":memory:", &gormstore.Options{Tables: []gormstore.Table{bad}})
		if err == nil || !strings.Contains(err.Error(), "Options.Tables") {
			t.Errorf("%+v: %v, %v", bad, s, err)
		}
	}
}
