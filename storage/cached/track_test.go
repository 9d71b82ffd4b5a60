package cached_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// #region track

// ban disables an account in a transaction of the application.
func ban(ctx context.Context, db *gormstore.Store, store *cached.Store, id, reason string) error {
	tx := db.DB(ctx).Begin()
	if tx.Error != nil {
		return tx.Error
	}
	ctx, done := store.Track(db.WithTx(ctx, tx))
	defer done()        // last: now the cache has the changes, or none
	defer tx.Rollback() // after an error or a panic; no effect after Commit
	if err := store.SetActive(ctx, id, false); err != nil {
		return err
	}
	if err := tx.Exec("INSERT INTO bans (account, reason) VALUES (?, ?)", id, reason).Error; err != nil {
		return err
	}
	return tx.Commit().Error
}

// #endregion track

// The guide's transaction takes effect at once, in the cache too, or not at all.
func TestTrackOfTheGuide(t *testing.T) {
	ctx := t.Context()
	var fail func() error
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), &gormstore.Options{Ended: func(context.Context, storage.Ending) error { return fail() }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := db.DB(ctx).Exec("CREATE TABLE bans (account TEXT PRIMARY KEY, reason TEXT CHECK (reason <> ''))").Error; err != nil {
		t.Fatal(err)
	}
	store, err := cached.New(db, &cached.Options{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	d := storage.DigestOf("x")
	if err := errors.Join(db.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Active: true}),
		db.PutStaticToken(ctx, storage.StaticToken{Digest: d, Subject: "alice", Salt: []byte("salt")}, storage.Digest{})); err != nil {
		t.Fatal(err)
	}
	good := func(of storage.StaticTokens) bool {
		found, u, err := of.StaticTokenByDigest(ctx, d)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil && u.Active && u.Epoch == found.Epoch
	}
	stopped := errors.New("stopped")
	for _, tc := range []struct {
		name, reason string
		hook         func() error
		cancel, done bool
	}{
		{"a failed statement", "", func() error { return nil }, false, false},
		{"a failed revocation", "spam", func() error { return stopped }, false, false},
		{"a canceled request", "spam", func() error { return nil }, true, false},
		{"committed", "spam", func() error { return nil }, false, true},
	} {
		t.Run("attack_447_"+tc.name, func(t *testing.T) {
			if !good(store) { // and cached
				t.Fatal("not good before")
			}
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			fail = func() error {
				if tc.cancel {
					cancel()
				}
				return tc.hook()
			}
			err := ban(ctx, db, store, "alice", tc.reason)
			if (err == nil) != tc.done || good(db) == tc.done || good(store) == tc.done {
				t.Errorf("%v; in the database %t, in the cache %t", err, good(db), good(store))
			}
			u, err := db.UserByID(t.Context(), "alice")
			if err != nil || u.Active == tc.done || (u.Epoch == 0) == tc.done {
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
}

// A panic of the application leaves neither the transaction nor the cache behind.
func TestTrackPanics(t *testing.T) {
	t.Run("attack_447_panic", func(t *testing.T) {
		db, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.CreateUser(t.Context(), storage.User{ID: "alice", Name: "alice", Active: true}); err != nil {
			t.Fatal(err)
		}
		store, err := cached.New(panicking{db}, nil)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_ = ban(t.Context(), db, store, "alice", "spam")
		}()
		if err := db.SetRoles(t.Context(), "alice", "staff"); err != nil { // SQLite: the transaction is not open any more
			t.Error(err)
		}
	})
}

type panicking struct{ *gormstore.Store }

func (panicking) SetActive(context.Context, string, bool) error { panic("on purpose") }
