package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// A column that the table does not have is an error of each call and of CheckSchema,
// also on SQLite, which takes "nosuch" in double quotes for a text.
func TestMisspelledColumns(t *testing.T) {
	sequential(t)
	ctx := context.Background()
	for kind, open := range databases {
		for field, change := range map[string]func(*gormstore.UserTable){
			"Table": func(u *gormstore.UserTable) { u.Table = "nosuch" }, "ID": func(u *gormstore.UserTable) { u.ID, u.IDType = "nosuch", "" }, "Name": func(u *gormstore.UserTable) { u.Name = "nosuch" },
			"Email": func(u *gormstore.UserTable) { u.Email = "nosuch" }, "Password": func(u *gormstore.UserTable) { u.Password = "nosuch" },
			"Active": func(u *gormstore.UserTable) { u.Active = "nosuch" }, "Roles": func(u *gormstore.UserTable) { u.Roles = "nosuch" }, "Created": func(u *gormstore.UserTable) { u.Created = "nosuch" },
		} {
			t.Run(kind+"/"+field, func(t *testing.T) {
				table := accounts
				change(&table)
				s := migrated(t, open(t, &gormstore.Options{Users: &table}))
				if err := errors.Join(s.DB(ctx).AutoMigrate(&Account{}), s.DB(ctx).Create(&Account{Login: "nosuch", Hash: "h", Enabled: true}).Error); err != nil {
					t.Fatal(err)
				}
				if err := s.CheckSchema(ctx); err == nil || !strings.Contains(err.Error(), "nosuch") {
					t.Errorf("CheckSchema: %v", err)
				}
				if u, err := s.UserByName(ctx, "nosuch"); err == nil || errors.Is(err, storage.ErrNotFound) {
					t.Errorf("an account came of it: %+v, %v", u, err)
				}
				if err := s.DeleteUser(ctx, "nosuch"); err == nil {
					t.Error("accounts were deleted by a column that there is not")
				}
				var left int64
				if err := s.DB(ctx).Model(&Account{}).Count(&left).Error; err != nil || left != 1 {
					t.Errorf("%d accounts are left, %v", left, err)
				}
			})
		}
	}
}

// The type of the id column is the mapped one, or CheckSchema says so.
func TestIDTypes(t *testing.T) {
	sequential(t)
	ctx := context.Background()
	columns := map[string][]string{ // declaration: the types it may be mapped as
		"sqlite BIGINT": {"integer"}, "sqlite TEXT": {"text", "uuid", ""}, "sqlite VARCHAR(40)": {"text", "uuid", ""},
		"postgres BIGINT": {"integer"}, "postgres INTEGER": {"integer"}, "postgres TEXT": {"text", ""}, "postgres VARCHAR(40)": {"text", ""}, "postgres UUID": {"uuid"},
	}
	for column, right := range columns {
		kind, declared, _ := strings.Cut(column, " ")
		for _, mapped := range []string{"", "text", "integer", "uuid"} {
			t.Run(column+"/"+mapped, func(t *testing.T) {
				table := gormstore.UserTable{Table: "people", ID: "key", IDType: mapped, Name: "login", Active: "NOT banned"}
				s := migrated(t, databases[kind](t, &gormstore.Options{Users: &table}))
				err := s.DB(ctx).Exec("CREATE TABLE people (key " + declared + " PRIMARY KEY, login TEXT UNIQUE, banned BOOLEAN)").Error
				if err != nil {
					t.Fatal(err)
				}
				err = s.CheckSchema(ctx)
				if good := strings.Contains(","+strings.Join(right, ",")+",", ","+mapped+","); good != (err == nil) {
					t.Errorf("CheckSchema: %v", err)
				}
			})
		}
	}
	t.Run("uuid", func(t *testing.T) {
		table := gormstore.UserTable{Table: "people", ID: "key", IDType: "uuid", Name: "login", Active: "NOT banned"}
		s := migrated(t, openPostgres(t, &gormstore.Options{Users: &table}))
		if err := s.DB(ctx).Exec("CREATE TABLE people (key UUID PRIMARY KEY, login TEXT, banned BOOLEAN DEFAULT FALSE)").Error; err != nil {
			t.Fatal(err)
		}
		const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
		if err := s.DB(ctx).Exec("INSERT INTO people VALUES ('" + id + "', 'alice')").Error; err != nil {
			t.Fatal(err)
		}
		tok := storage.StaticToken{Digest: storage.DigestOf("x"), Subject: id, Salt: []byte("s"), KeyID: "k"}
		if err := s.PutStaticToken(ctx, tok, storage.Digest{}); err != nil {
			t.Fatal(err)
		}
		if _, u, err := s.StaticTokenByDigest(ctx, tok.Digest); err != nil || u.ID != id {
			t.Errorf("%+v, %v", u, err)
		}
		for _, other := range []string{strings.ToUpper(id), "{" + id + "}", strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id} {
			if _, err := s.UserByID(ctx, other); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%q: %v", other, err)
			}
		}
	})
}

// Names and ids are compared byte for byte, also where the column's collation takes
// several spellings for one.
func TestWideCollation(t *testing.T) {
	ctx := context.Background()
	table := gormstore.UserTable{Table: "people", ID: "key", Name: "login", Active: "TRUE"}
	s := migrated(t, openSQLite(t, &gormstore.Options{Users: &table}))
	err := errors.Join(s.DB(ctx).Exec("CREATE TABLE people (key TEXT PRIMARY KEY COLLATE NOCASE, login TEXT COLLATE NOCASE)").Error,
		s.DB(ctx).Exec("INSERT INTO people VALUES ('a', 'alice'), ('b', 'Bob'), ('c', 'carol')").Error)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UserByName(ctx, "ALICE"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("another name: %v", err)
	}
	if _, err := s.UserByID(ctx, "A"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("another id: %v", err)
	}
	tok := storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "A", Salt: []byte("s"), KeyID: "k"}
	_ = s.PutStaticToken(ctx, tok, storage.Digest{})
	if _, u, err := s.StaticTokenByDigest(ctx, tok.Digest); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a token of A is one of %q: %v", u.ID, err)
	}
	var got []string
	for after := ""; len(got) < 9; {
		page, err := s.ListUsers(ctx, after, 1)
		if err != nil || len(page) == 0 {
			break
		}
		after = page[0].Name
		got = append(got, after)
	}
	if fmt.Sprint(got) != "[Bob alice carol]" {
		t.Errorf("%v", got)
	}
}

// A table whose columns are all plain is written to as the library's own is.
func TestPlainColumns(t *testing.T) {
	ctx := context.Background()
	table := gormstore.UserTable{Table: "People", ID: "key", Name: "login", Password: "pwHash", Active: "isActive", Roles: "roleNames", Created: "madeAt"}
	for kind, open := range databases {
		t.Run(kind, func(t *testing.T) {
			s := migrated(t, open(t, &gormstore.Options{Users: &table}))
			q := `CREATE TABLE "People" (key TEXT PRIMARY KEY, login TEXT UNIQUE, "pwHash" TEXT, "isActive" BOOLEAN, "roleNames" TEXT, "madeAt" BIGINT, phone TEXT)`
			if err := errors.Join(s.DB(ctx).Exec(q).Error, s.CheckSchema(ctx)); err != nil {
				t.Fatal(err)
			}
			u := storage.User{ID: "1", Name: "alice", Email: "lost@example.com", Password: "h", Active: true, Roles: []string{"a", "b"}}
			if err := errors.Join(s.CreateUser(ctx, u), s.SetActive(ctx, "1", false), s.SetPassword(ctx, "1", "h2")); err != nil {
				t.Fatal(err)
			}
			if err := s.CreateUser(ctx, u); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("twice: %v", err)
			}
			got, err := s.UserByID(ctx, "1")
			if err != nil || got.Active || got.Password != "h2" || len(got.Roles) != 2 || got.Email != "" {
				t.Errorf("%+v, %v", got, err)
			}
			owner := open(t, &gormstore.Options{Users: &gormstore.UserTable{Table: "other", ID: "key", Name: "login", Active: "NOT banned"}})
			if err := owner.DB(ctx).Exec(`CREATE TABLE other (key TEXT PRIMARY KEY, login TEXT, phone TEXT NOT NULL, banned BOOLEAN)`).Error; err != nil {
				t.Fatal(err)
			}
			other, err := gormstore.New(owner.DB(ctx), &gormstore.Options{Users: &gormstore.UserTable{Table: "other", ID: "key", Name: "login", Active: "NOT banned"}})
			if err := errors.Join(err, other.Migrate(ctx)); err != nil {
				t.Fatal(err)
			}
			if err := other.CreateUser(ctx, u); err == nil || isAnswer(err) && !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("roles without a column: %v", err)
			}
			u.Roles = nil
			if err := other.CreateUser(ctx, u); err == nil || isAnswer(err) || !strings.Contains(err.Error(), "phone") {
				t.Errorf("a column that must not be NULL: %v", err)
			}
			if err := other.SetPassword(ctx, "1", "x"); err == nil || !strings.Contains(err.Error(), "no plain column") {
				t.Errorf("a password without a column: %v", err)
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
			if err := owner.Ping(ctx); err != nil {
				t.Errorf("closing a store that does not own the database closed it: %v", err)
			}
		})
	}
}

// With an integer id the look-up of a token still goes by indexes alone.
func TestMappedLookUpUsesIndexes(t *testing.T) {
	sequential(t)
	ctx := context.Background()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := migrated(t, databases[kind](t, &gormstore.Options{Users: &accounts}))
			numbers := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
			digest := "CAST(printf('%032d', i) AS BLOB)"
			explain := "EXPLAIN QUERY PLAN "
			if kind == "postgres" {
				digest, explain = "CAST(lpad(CAST(i AS TEXT), 32, '0') AS BYTEA)", "EXPLAIN "
			}
			err := errors.Join(s.DB(ctx).AutoMigrate(&Account{}),
				s.DB(ctx).Exec("INSERT INTO accounts (uid, login, enabled) "+numbers+"SELECT i, 'n' || i, TRUE FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_static_tokens (digest, subject, salt, key_id, epoch, created_us) "+numbers+"SELECT "+digest+", CAST(i AS TEXT), "+digest+", '', 0, 0 FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_device_tokens (digest, id, subject, name, epoch, created_us, expires_us, last_used_us, ttl_us, max_us) "+numbers+"SELECT "+digest+", 'd' || i, CAST(i AS TEXT), '', 0, i, i, 0, 0, 0 FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_sessions (digest, id, subject, epoch, version, created_us, auth_time_us, last_seen_us, expires_us, ends_us, user_agent, address) "+numbers+"SELECT "+digest+", 's' || i, CAST(i AS TEXT), 0, 1, 0, 0, 0, i, i, '', '' FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_clients (id, name, method, password, native, trusted, disabled, lists, created_us) "+numbers+"SELECT 'c' || i, '', 'none', '', FALSE, FALSE, FALSE, '{}', 0 FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_codes (digest, client, subject, epoch, redirect_uri, challenge, nonce, confirm, auth_time_us, created_us, expires_us, kept_us, used, family) "+numbers+"SELECT "+digest+", 'c' || i, CAST(i AS TEXT), 0, '', '', '', '', 0, 0, i, i, FALSE, '' FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_access_tokens (digest, id, family, client, subject, epoch, confirm, auth_time_us, created_us, expires_us) "+numbers+"SELECT "+digest+", 'a' || i, CAST(i AS TEXT), 'c' || i, CAST(i AS TEXT), 0, '', 0, 0, i FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_device_grants (digest, user_code, client, interval_us, polled_us, slow, state, subject, epoch, auth_time_us, created_us, expires_us) "+numbers+"SELECT "+digest+", "+digest+", 'c' || i, 5, 0, FALSE, 'pending', '', 0, 0, 0, i FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_tries (name, tries, until_us) "+numbers+"SELECT "+digest+", 1, i FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_onetimes (digest, purpose, subject, epoch, bound, created_us, expires_us) "+numbers+"SELECT "+digest+", 'p', CAST(i AS TEXT), 0, "+digest+", 0, i FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_families (id, purpose, subject, client, confirm, name, epoch, auth_time_us, created_us, expires_us) "+numbers+"SELECT CAST(i AS TEXT), 'p', CAST(i AS TEXT), '', '', '', 0, 0, i, i FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_refresh_tokens (digest, family, created_us, expires_us, sealed_until_us) "+numbers+"SELECT "+digest+", CAST(i AS TEXT), 0, 0, CASE WHEN i < 100 THEN i ELSE 0 END FROM n").Error,
				s.DB(ctx).Exec("INSERT INTO vestibule_blocklist (block_key, until_us) "+numbers+"SELECT "+digest+", i FROM n").Error,
				s.DB(ctx).Exec("ANALYZE").Error)
			if err != nil {
				t.Fatal(err)
			}
			pool, err := s.DB(ctx).DB()
			if err != nil {
				t.Fatal(err)
			}
			for what, query := range s.HotQueries() {
				plan := ""
				digest := []byte(strings.Repeat("0", 31) + "7")
				args := map[string][]any{
					"user": {"7"}, "erase all": {"7"}, "standing": {"7", digest, digest, digest}, "user standing": {digest, digest, digest, "7"},
					"credential": {digest, "knox"}, "credentials": {"7", "knox", "7", 10}, "live credentials": {"7", "knox", 0, 0}, "sessions": {"7", "7", 10}, "families": {"7", "p", "7", 9, 9, "x", 10},
					"families of a client": {"7", "p", "7", "", 10, 0}, "family": {"7", "p", "7", "7"}, "count of families": {"7", "p", "7"},
					"session by ID": {"7", "7", "s7"}, "series": {"7", "s7.", "s7/", ""},
				}[what]
				if strings.HasPrefix(what, "prune ") {
					args = []any{50, 10}
				} else if args == nil {
					args = []any{digest}
				}
				rows, err := pool.QueryContext(ctx, explain+query, args...)
				if err != nil {
					t.Fatal(err)
				}
				for rows.Next() {
					var a, b, c, line string
					dest := []any{&a, &b, &c, &line}
					if kind == "postgres" {
						dest = dest[3:]
					}
					if err := rows.Scan(dest...); err != nil {
						t.Fatal(err)
					}
					plan += line + "\n"
				}
				rows.Close()
				// The table of epochs is empty and may be read as it likes, and so may groups.
				for line := range strings.Lines(plan) {
					if (strings.Contains(line, "SCAN") || strings.Contains(line, "Seq Scan")) && !strings.Contains(line, "vestibule_subjects") && !strings.Contains(line, "vestibule_spaces") && !strings.Contains(line, "CONSTANT ROW") && !strings.Contains(line, " s") && !strings.Contains(line, "(subquery") {
						t.Errorf("%s reads a whole table:\n%s", what, plan)
						break
					}
				}
			}
		})
	}
}
