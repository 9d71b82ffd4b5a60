package gormstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// ownTable opens a store over a table of the application, whose ID column is of that type and
// collation, with the account alice.
func ownTable(t *testing.T, kind, idColumn, nameColumn string) *gormstore.Store {
	t.Helper()
	users := &gormstore.UserTable{Table: "accounts", ID: "id", Name: "login", Password: "hash", Active: "active"}
	s := several(t, kind, 1, &gormstore.Options{Users: users, Timeout: time.Minute})[0]
	create := "CREATE TABLE accounts (id " + idColumn + ", login " + nameColumn + ", hash TEXT NOT NULL DEFAULT '', active BOOLEAN NOT NULL DEFAULT TRUE)"
	if kind == "postgres" {
		if err := s.DB(t.Context()).Exec("CREATE EXTENSION IF NOT EXISTS citext").Error; err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.DB(t.Context()).Exec(create).Error, s.Migrate(t.Context()), s.CreateUser(t.Context(), storage.User{ID: "alice", Name: "alice", Password: "old", Active: true})); err != nil {
		t.Fatal(err)
	}
	return s
}

// A table of the application without a unique index of names: of many calls that create an
// account of one name at once one does.
func TestNamesWithoutAnIndex_attack_278(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			ctx := t.Context()
			s := ownTable(t, kind, "TEXT PRIMARY KEY", "TEXT NOT NULL")
			const n = 16
			done := make(chan error, n)
			for i := range n {
				go func() {
					done <- s.CreateUser(ctx, storage.User{ID: fmt.Sprint(i), Name: "eve", Active: true, Created: time.Now()})
				}()
			}
			created := 0
			for range n {
				if err := <-done; err == nil {
					created++
				} else if !errors.Is(err, storage.ErrConflict) {
					t.Error(err)
				}
			}
			if created != 1 {
				t.Errorf("%d accounts of one name", created)
			}
			if _, err := s.UserByName(ctx, "eve"); err != nil {
				t.Error(err)
			}
			for _, x := range []struct {
				id, name string
				active   bool
				want     error
			}{{"Eve", "Eve", true, nil}, {"a", "left", false, nil}, {"b", "left", false, storage.ErrConflict}, {"c", "left", true, nil}, {"d", "left", true, storage.ErrConflict}} {
				if err := s.CreateUser(ctx, storage.User{ID: x.id, Name: x.name, Active: x.active}); !errors.Is(err, x.want) {
					t.Errorf("%+v: %v", x, err)
				}
			}
		})
	}
}

// An ID column that pads its values: the application is told before a server starts.
func TestPaddedID_attack_456(t *testing.T) {
	for column, padded := range map[string]bool{
		"CHAR(36) PRIMARY KEY": true, "CHARACTER(5) PRIMARY KEY": true, "BPCHAR(8) PRIMARY KEY": true,
		"VARCHAR(36) PRIMARY KEY": false, "TEXT PRIMARY KEY": false, "CITEXT PRIMARY KEY": false,
	} {
		t.Run(column, func(t *testing.T) {
			s := ownTable(t, "postgres", column, "TEXT UNIQUE NOT NULL")
			err := s.CheckSchema(t.Context())
			if told := err != nil && strings.Contains(err.Error(), "ID column is char(n)"); told != padded || !padded && err != nil {
				t.Error(err)
			}
			if err := s.DB(t.Context()).Exec("DELETE FROM accounts").Error; err != nil {
				t.Fatal(err)
			}
			if err := s.CheckSchema(t.Context()); (err != nil) != padded {
				t.Errorf("of an empty table: %v", err)
			}
		})
	}
}
