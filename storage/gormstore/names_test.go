package gormstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// softDeleted is a table as frameworks with soft deletion have it.
func softDeleted() *gormstore.UserTable {
	return &gormstore.UserTable{Table: "people", ID: "id", IDType: "integer", Name: "mail", Password: "hash", Active: "NOT banned AND deleted_at IS NULL"}
}

const createPeople = "CREATE TABLE people (id BIGINT PRIMARY KEY, mail TEXT, hash TEXT NOT NULL DEFAULT '', banned BOOLEAN NOT NULL DEFAULT FALSE, deleted_at TIMESTAMP)"

func run(t *testing.T, s *gormstore.Store, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if err := s.DB(context.Background()).Exec(q).Error; err != nil {
			t.Fatal(q, err)
		}
	}
}

// lower is a canonical form.
func lower(name string) (string, error) {
	if strings.Contains(name, "!") {
		return "", errors.New("no name")
	}
	return strings.ToLower(name), nil
}

func TestNamesOfRows(t *testing.T) {
	ctx := context.Background()
	for kind, open := range databases {
		t.Run(kind, func(t *testing.T) {
			var log bytes.Buffer
			s := migrated(t, open(t, &gormstore.Options{Users: softDeleted(), Logger: slog.New(slog.NewTextHandler(&log, nil))}))
			run(t, s, createPeople, "CREATE UNIQUE INDEX mails ON people (mail) WHERE deleted_at IS NULL",
				"INSERT INTO people (id, mail, hash, deleted_at) VALUES (1, 'ann@x.example', 'old', CURRENT_TIMESTAMP), (3, 'ann@x.example', 'older', CURRENT_TIMESTAMP)",
				"INSERT INTO people (id, mail, hash) VALUES (2, 'ann@x.example', 'h'), (7, NULL, 'h')")
			t.Run("edge_C02/the live row wins", func(t *testing.T) {
				if u, err := s.UserByName(ctx, "ann@x.example"); err != nil || u.ID != "2" || !u.Active || u.Password != "h" {
					t.Errorf("%+v, %v", u, err)
				}
				if err := s.CheckSchema(ctx); err != nil {
					t.Errorf("CheckSchema: %v", err)
				}
				run(t, s, "UPDATE people SET banned = TRUE WHERE id = 2")
				if u, err := s.UserByName(ctx, "ann@x.example"); err != nil || u.Active {
					t.Errorf("nobody is live: %+v, %v", u, err)
				}
				run(t, s, "UPDATE people SET banned = FALSE WHERE id = 2")
				if list, err := s.ListUsers(ctx, "", 1); err != nil || len(list) != 1 || list[0].ID != "2" {
					t.Errorf("the first of the list: %+v, %v", list, err)
				}
			})
			t.Run("edge_C02/no name", func(t *testing.T) {
				u, err := s.UserByID(ctx, "7")
				if err != nil || u.Name != "" || !u.Active {
					t.Fatalf("%+v, %v", u, err)
				}
				if err := s.PutStaticToken(ctx, staticToken("7", "seven", 0), storage.Digest{}); err != nil {
					t.Fatal(err)
				}
				if _, u, err := s.StaticTokenByDigest(ctx, storage.DigestOf("seven")); err != nil || u.ID != "7" || !u.Active {
					t.Errorf("a token: %+v, %v", u, err)
				}
				if _, err := s.UserByName(ctx, ""); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("a login without a name: %v", err)
				}
			})
			t.Run("edge_C02/two live rows", func(t *testing.T) {
				run(t, s, "DROP INDEX mails", "INSERT INTO people (id, mail, hash) VALUES (4, 'ann@x.example', 'second')")
				log.Reset()
				if u, err := s.UserByName(ctx, "ann@x.example"); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("%+v, %v", u, err)
				}
				if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "subject=2") || strings.Contains(text, "ann@") {
					t.Errorf("the log says %s", text)
				}
				err := s.CheckSchema(ctx)
				if err == nil || !strings.Contains(err.Error(), "account IDs 2, 4: the name, in canonical form, is not unique") || strings.Contains(err.Error(), "ann@") {
					t.Errorf("CheckSchema: %v", err)
				}
				run(t, s, "DELETE FROM people WHERE id = 4")
				if err := s.CheckSchema(ctx); err == nil || !strings.Contains(err.Error(), "unique index") {
					t.Errorf("CheckSchema without an index: %v", err)
				}
			})
		})
	}
	// Which index proves what.
	for index, good := range map[string]bool{
		"UNIQUE INDEX x ON people (mail)":                                           true,
		"UNIQUE INDEX x ON people (mail) WHERE deleted_at IS NULL":                  true,
		"UNIQUE INDEX x ON people (mail) WHERE NOT banned AND (deleted_at IS NULL)": true,
		"UNIQUE INDEX x ON people (lower(mail))":                                    true,  // the rows are looked at
		"UNIQUE INDEX x ON people (mail, banned)":                                   true,  // likewise
		"UNIQUE INDEX x ON people (mail) WHERE deleted_at IS NULL OR banned":        true,  // likewise
		"INDEX x ON people (mail)":                                                  false, // says nothing
		"UNIQUE INDEX x ON people (hash)":                                           false,
	} {
		for kind, open := range databases {
			t.Run("edge_C02/"+kind+"/"+index, func(t *testing.T) {
				s := migrated(t, open(t, &gormstore.Options{Users: softDeleted()}))
				run(t, s, createPeople, "CREATE "+index, "INSERT INTO people (id, mail, hash) VALUES (1, 'a', 'b')")
				if err := s.CheckSchema(ctx); good != (err == nil) {
					t.Errorf("CheckSchema: %v", err)
				}
				if strings.Contains(index, "lower") || strings.Contains(index, "banned)") || strings.Contains(index, "OR") {
					run(t, s, "DROP INDEX x", "CREATE UNIQUE INDEX mail2 ON people (mail, id)", "INSERT INTO people (id, mail, hash) VALUES (2, 'a', 'b')")
					if err := s.CheckSchema(ctx); err == nil || !strings.Contains(err.Error(), "account IDs 1, 2: ") {
						t.Errorf("CheckSchema of equal names: %v", err)
					}
				}
			})
		}
	}
	t.Run("edge_C02/not canonical", func(t *testing.T) {
		s := migrated(t, openSQLite(t, &gormstore.Options{Users: softDeleted(), Canonical: lower}))
		run(t, s, createPeople, "CREATE UNIQUE INDEX mails ON people (mail)", "INSERT INTO people (id, mail) VALUES (1, 'Ann@x.example'), (2, NULL)")
		err := s.CheckSchema(ctx)
		if err == nil || err.Error() != "gormstore: user table people: account ID 1: the name is not in its canonical form\n"+
			"gormstore: user table people: account ID 2: the name is missing" {
			t.Errorf("%v", err)
		}
		run(t, s, "INSERT INTO people (id, mail) WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 60) SELECT i, 'X' || i FROM n")
		if err := s.CheckSchema(ctx); err == nil || strings.Count(err.Error(), "\n") != 10 || !strings.Contains(err.Error(), "CheckNames") {
			t.Errorf("many faults: %v", err)
		}
	})
}

// Every fault of a large table is reported, each once.
func TestCheckNames(t *testing.T) {
	sequential(t)
	ctx := context.Background()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run("edge_C02/"+kind, func(t *testing.T) {
			s := migrated(t, databases[kind](t, &gormstore.Options{Users: softDeleted()}))
			run(t, s, createPeople, "INSERT INTO people (id, mail) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i, 'n' || i FROM n",
				"UPDATE people SET mail = NULL WHERE id = 5", "UPDATE people SET mail = '' WHERE id = 1000", "UPDATE people SET mail = 'no!' WHERE id = 1001",
				"UPDATE people SET mail = 'N2' WHERE id = 99999", // n2 is another's
				"UPDATE people SET mail = 'TWO' WHERE id = 7", "UPDATE people SET mail = 'Two' WHERE id = 77777",
				"UPDATE people SET mail = 'n3' WHERE id = 4000", // twice, byte for byte
				"UPDATE people SET mail = 'GONE', deleted_at = CURRENT_TIMESTAMP WHERE id = 9")
			var got []string
			err := s.CheckNames(ctx, lower, func(f gormstore.NameFault) error {
				slices.Sort(f.IDs)
				got = append(got, f.Problem+" "+strings.Join(f.IDs, ","))
				return nil
			})
			slices.Sort(got)
			want := []string{
				gormstore.NameMissing + " 5", gormstore.NameMissing + " 1000", gormstore.NameRefused + " 1001",
				gormstore.NameNotCanonical + " 99999", gormstore.NameNotCanonical + " 7", gormstore.NameNotCanonical + " 77777",
				gormstore.NameShared + " 2,99999", gormstore.NameShared + " 7,77777", gormstore.NameShared + " 3,4000",
			}
			slices.Sort(want)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v\n%q\nwant\n%q", err, got, want)
			}
			enough := errors.New("enough")
			if err := s.CheckNames(ctx, lower, func(gormstore.NameFault) error { return enough }); !errors.Is(err, enough) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A role's name is one role or none: never parts of it.
func TestRolesOfRows(t *testing.T) {
	ctx := context.Background()
	for kind, open := range databases {
		t.Run(kind, func(t *testing.T) {
			aggregate := "json_group_array"
			if kind == "postgres" {
				aggregate = "json_agg"
			}
			table := softDeleted()
			table.RolesList = "(SELECT " + aggregate + "(r.name) FROM roles r WHERE r.person = people.id)"
			var log bytes.Buffer
			s := migrated(t, open(t, &gormstore.Options{Users: table, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
			run(t, s, createPeople, "CREATE UNIQUE INDEX mails ON people (mail)", "CREATE TABLE roles (person BIGINT, name TEXT)", "INSERT INTO people (id, mail) VALUES (1, 'ann'), (2, 'bob'), (3, 'eve'), (4, 'dan'), (5, 'kim')",
				"INSERT INTO roles VALUES (1, 'admin'), (1, 'staff \"x\"'), (2, 'x,admin'), (2, 'staff'), (4, ' admin'), (5, NULL), (5, 'admin')")
			if err := s.CheckSchema(ctx); err != nil {
				t.Fatal(err)
			}
			for id, want := range map[string]int{"1": 2, "2": 0, "3": 0, "4": 0, "5": 0} {
				u, err := s.UserByID(ctx, id)
				if err != nil || len(u.Roles) != want || !u.Active {
					t.Errorf("edge_C02/roles of %s: %q, %v", id, u.Roles, err)
				}
			}
			if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "invalid roles") || strings.Contains(text, "admin") {
				t.Errorf("the log says %s", text)
			}
			comma := softDeleted()
			comma.Roles = "CASE id WHEN 1 THEN 'admin,staff' WHEN 2 THEN 'x, admin' WHEN 3 THEN 'admin,' ELSE NULL END"
			o := opened(t)(gormstore.New(s.DB(ctx), &gormstore.Options{Users: comma, Logger: slog.New(slog.DiscardHandler)}))
			for id, want := range map[string]int{"1": 2, "2": 0, "3": 0, "4": 0} {
				if u, err := o.UserByID(ctx, id); err != nil || len(u.Roles) != want {
					t.Errorf("edge_C02/roles with commas of %s: %q, %v", id, u.Roles, err)
				}
			}
		})
	}
	for _, roles := range []string{"(SELECT string_agg(r.name, ',') FROM roles r)", "(SELECT GROUP_CONCAT (name) FROM roles)"} {
		table := softDeleted()
		table.Roles = roles
		if _, err := gormstore.New(openMemory(t, nil).DB(ctx), &gormstore.Options{Users: table}); err == nil || !strings.Contains(err.Error(), "RolesList") {
			t.Errorf("%s: %v", roles, err)
		}
	}
}
