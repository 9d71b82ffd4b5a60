package gormstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// What runs one after the other does so by rows alone, on a database without advisory locks: of many
// first keys of a purpose one is created, and lists of a group are not merged.
func TestRowLocks(t *testing.T) {
	ctx := t.Context()
	url := storetest.URL(t)
	var stores []*gormstore.Store
	for range 3 {
		s := migrated(t, opened(t)(postgres.Open(url, &patient)))
		s.WithoutAdvisory()
		stores = append(stores, s)
	}
	for _, round := range []string{"a", "b", "c"} {
		var wg sync.WaitGroup
		for i := range 24 {
			s, name := stores[i%3], string(rune('a'+i))
			wg.Go(func() {
				_ = s.CreateSigningKey(ctx, storage.SigningKey{ID: name, Purpose: round, Algorithm: "EdDSA", MasterID: "m", Created: time.Unix(1, 0)}, "")
			})
			wg.Go(func() {
				if err := s.SetGroupPermissions(ctx, round, []string{"first." + name, "second." + name}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		list, err := stores[0].ListSigningKeys(ctx, round)
		if err != nil || len(list) != 1 {
			t.Errorf("%d first keys, %v", len(list), err)
		}
		var permissions int
		must(t, stores[0].DB(ctx).Raw("SELECT count(*) FROM vestibule_group_permissions WHERE group_name = ?", round).Scan(&permissions).Error)
		if permissions != 2 {
			t.Errorf("%d permissions: lists were merged", permissions)
		}
	}
	var names []string
	must(t, stores[0].DB(ctx).Raw("SELECT name FROM vestibule_locks WHERE name NOT IN ('migrate', 'spaces') ORDER BY name").Scan(&names).Error)
	if len(names) != 6 {
		t.Error("rows:", names)
	}
}

// A program before version 18 is excluded, too, while both run.
func TestRowLocksBesideAdvisory(t *testing.T) {
	ctx := t.Context()
	url := storetest.URL(t)
	s := migrated(t, opened(t)(postgres.Open(url, &patient)))
	older := opened(t)(postgres.Open(url, &patient))
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := older.InTx(ctx, func(ctx context.Context) error {
			err := older.DB(ctx).Exec("SELECT pg_advisory_xact_lock(hashtextextended('vestibule_signing_keys p', 0))").Error
			close(held)
			<-release
			return err
		}); err != nil {
			t.Error(err)
		}
	})
	<-held
	short := opened(t)(postgres.Open(url, &gormstore.Options{Timeout: 200 * time.Millisecond}))
	must(t, short.RecordSpace(ctx))
	k := storage.SigningKey{ID: "k", Purpose: "p", Algorithm: "EdDSA", MasterID: "m", Created: time.Unix(1, 0)}
	if err := short.CreateSigningKey(ctx, k, ""); err == nil {
		t.Error("a key was created while an older program holds its lock")
	}
	close(release)
	wg.Wait()
	must(t, s.CreateSigningKey(ctx, k, ""))
}
