package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Account is an application's own account.
type Account struct {
	UID       int64  `gorm:"primaryKey;autoIncrement"`
	Login     string `gorm:"uniqueIndex"`
	Mail      *string
	Hash      string
	Staff     bool
	Enabled   bool
	DeletedAt *time.Time
}

// accounts is how Account is mapped.
var accounts = gormstore.UserTable{
	Table: "accounts", ID: "uid", IDType: "integer", Name: "login", Email: "mail", Password: "hash",
	Active: "enabled AND deleted_at IS NULL", Roles: "CASE WHEN staff THEN 'admin,staff' ELSE '' END",
}

func TestOwnUserTable(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s := migrated(t, open(t, &gormstore.Options{Users: &accounts}))
			db := s.DB(ctx)
			if err := db.AutoMigrate(&Account{}); err != nil {
				t.Fatal(err)
			}
			if err := s.CheckSchema(ctx); err != nil {
				t.Error(err)
			}
			mail := "a@example.com"
			for i, a := range []Account{{Login: "alice", Mail: &mail, Hash: "h", Staff: true, Enabled: true}, {Login: "bob", Enabled: true}, {Login: "gone", DeletedAt: new(time.Time)}} {
				if err := db.Create(&a).Error; err != nil || a.UID != int64(i+1) {
					t.Fatal(err, a.UID)
				}
			}
			u, err := s.UserByName(ctx, "alice")
			if err != nil || u.ID != "1" || u.Email != mail || u.Password != "h" || !u.Active || fmt.Sprint(u.Roles) != "[admin staff]" {
				t.Fatalf("%+v, %v", u, err)
			}
			if u, err = s.UserByID(ctx, "3"); err != nil || u.Active {
				t.Errorf("a deleted account: %+v, %v", u, err)
			}
			for _, id := range []string{"", "x", "01", "+1", " 1", "1 ", "4", "1.0", "99999999999999999999", "1; DROP TABLE accounts"} {
				if _, err := s.UserByID(ctx, id); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("id %q: %v", id, err)
				}
			}
			tok := storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "1", Salt: []byte("s"), KeyID: "k", Created: time.Unix(1, 0)}
			if err := s.PutStaticToken(ctx, tok, storage.Digest{}); err != nil {
				t.Fatal(err)
			}
			got, u, err := s.StaticTokenByDigest(ctx, tok.Digest)
			if err != nil || got.Subject != "1" || u.Name != "alice" || u.ID != "1" {
				t.Errorf("%+v, %+v, %v", got, u, err)
			}
			for _, subject := range []string{"3", "4", "x"} { // deleted, absent, malformed
				bad := tok
				bad.Subject, bad.Digest = subject, storage.DigestOf(subject)
				if err := s.PutStaticToken(ctx, bad, storage.Digest{}); !errors.Is(err, storage.ErrStale) {
					t.Errorf("a token for %q: %v", subject, err)
				}
			}
			if err := s.SetPassword(ctx, "1", "h2"); err != nil {
				t.Error(err)
			}
			if _, _, err := s.StaticTokenByDigest(ctx, tok.Digest); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the token after a new password: %v", err)
			}
			if err := s.SetActive(ctx, "1", false); err == nil {
				t.Error("an expression was set")
			}
			if err := s.SetRoles(ctx, "1", "admin"); err == nil {
				t.Error("an expression was set")
			}
			if err := s.ReplaceHash(ctx, "1", "h2", "h3"); err != nil {
				t.Error(err)
			}
			// The delete hook of an application that deletes by itself.
			n, err := s.SubjectEpoch(ctx, "2")
			if err != nil {
				t.Fatal(err)
			}
			bobs := tok
			bobs.Subject, bobs.Digest, bobs.Epoch = "2", storage.DigestOf("bob"), n
			if err := s.PutStaticToken(ctx, bobs, storage.Digest{}); err != nil {
				t.Fatal(err)
			}
			err = db.Transaction(func(tx *gorm.DB) error {
				if err := tx.Delete(&Account{UID: 2}).Error; err != nil {
					return err
				}
				return s.DeleteSubject(s.WithTx(ctx, tx), "2")
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.StaticTokenByDigest(ctx, bobs.Digest); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the token of a deleted account: %v", err)
			}
			if all, err := s.ListUsers(ctx, "", 10); err != nil || len(all) != 2 {
				t.Errorf("%v, %v", all, err)
			}
			// Statements of the application in the store's own transaction.
			failed := errors.New("x")
			err = s.InTx(ctx, func(ctx context.Context) error {
				if err := s.DB(ctx).Create(&Account{Login: "carol", Enabled: true}).Error; err != nil {
					return err
				}
				if _, err := s.UserByName(ctx, "carol"); err != nil {
					return err
				}
				return failed
			})
			if _, lookup := s.UserByName(ctx, "carol"); !errors.Is(err, failed) || !errors.Is(lookup, storage.ErrNotFound) {
				t.Errorf("%v, %v", err, lookup)
			}
			if err := s.CreateUser(ctx, storage.User{ID: "77", Name: "dave", Active: true, Roles: []string{"x"}}); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("roles without a column: %v", err)
			}
		})
	}
}

func TestUserTableMistakes(t *testing.T) {
	for what, change := range map[string]func(*gormstore.UserTable){
		"table": func(u *gormstore.UserTable) { u.Table = `a"; DROP TABLE x; --` }, "no table": func(u *gormstore.UserTable) { u.Table = "" }, "id": func(u *gormstore.UserTable) { u.ID = "a b" },
		"name": func(u *gormstore.UserTable) { u.Name = "" }, "email": func(u *gormstore.UserTable) { u.Email = "lower(x)" }, "active": func(u *gormstore.UserTable) { u.Active = " " },
		"id type": func(u *gormstore.UserTable) { u.IDType = "float" }, "question mark": func(u *gormstore.UserTable) { u.Roles = "a ? b" },
	} {
		table := accounts
		change(&table)
		if _, err := gormstore.New(openMemory(t, nil).DB(context.Background()), &gormstore.Options{Users: &table}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	s := migrated(t, openMemory(t, &gormstore.Options{Users: &accounts}))
	if err := s.CheckSchema(context.Background()); err == nil {
		t.Error("the user table is absent, and CheckSchema finds nothing")
	}
}

// A column that gets another type under a running server costs one request.
func TestColumnChangesType(t *testing.T) {
	ctx := context.Background()
	table := gormstore.UserTable{Table: "people", ID: "key", Name: "login", Email: "mail", Active: "TRUE"}
	s := migrated(t, openPostgres(t, &gormstore.Options{Users: &table}))
	if err := errors.Join(s.DB(ctx).Exec("CREATE TABLE people (key TEXT PRIMARY KEY, login TEXT, mail TEXT)").Error,
		s.DB(ctx).Exec("INSERT INTO people VALUES ('1', 'alice', 'a@example.com')").Error); err != nil {
		t.Fatal(err)
	}
	tok := storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "1", Salt: []byte("s"), KeyID: "k"}
	if err := s.PutStaticToken(ctx, tok, storage.Digest{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.StaticTokenByDigest(ctx, tok.Digest); err != nil {
		t.Fatal(err)
	}
	if err := s.DB(ctx).Exec("ALTER TABLE people ALTER COLUMN mail TYPE VARCHAR(300)").Error; err != nil {
		t.Fatal(err)
	}
	_, _, first := s.StaticTokenByDigest(ctx, tok.Digest)
	if errors.Is(first, storage.ErrNotFound) {
		t.Errorf("a fault looks like an answer: %v", first)
	}
	if _, u, err := s.StaticTokenByDigest(ctx, tok.Digest); err != nil || u.ID != "1" {
		t.Errorf("after %v: %v", first, err)
	}
}
