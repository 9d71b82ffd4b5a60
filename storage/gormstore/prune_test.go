package gormstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// expiredRows are statements that create expired rows, with their number as %[1]d, and how many
// records Prune counts of them.
var expiredRows = []string{
	"INSERT INTO vestibule_blocklist (block_key, until_us) SELECT int4send(i), 1 FROM generate_series(1, %[1]d) i",
	"INSERT INTO vestibule_device_tokens (digest, id, subject, name, epoch, created_us, expires_us, last_used_us, ttl_us, max_us)" +
		" SELECT int4send(i), i::text, 's', '', 0, 0, 1, 0, 0, 0 FROM generate_series(1, %[1]d) i",
	"INSERT INTO vestibule_sessions (digest, id, epoch, version, created_us, auth_time_us, last_seen_us, expires_us, ends_us, user_agent, address)" +
		" SELECT int4send(i), i::text, 0, 0, 0, 0, 0, 1, 1, '', '' FROM generate_series(1, %[1]d) i",
	"INSERT INTO vestibule_families (id, purpose, subject, client, confirm, name, epoch, auth_time_us, created_us, expires_us)" +
		" SELECT 'f' || i, 'p', 's', '', '', '', 0, 0, 0, 1 FROM generate_series(1, %[1]d) i",
}

// expiredTokens are the refresh tokens of the families, of which one in three has a sealed response.
const expiredTokens = "INSERT INTO vestibule_refresh_tokens (digest, family, created_us, expires_us, claimed_us, sealed, sealed_until_us)" +
	" SELECT int4send(10 * i + j), 'f' || i, 0, 1, 1, CASE WHEN j = 1 THEN '\\x00'::bytea END, CASE WHEN j = 1 THEN 1 ELSE 0 END FROM generate_series(1, %[1]d) i, generate_series(1, 3) j"

// seed creates n expired rows of each kind and returns how many records Prune counts: the tokens of
// families are not counted, but an erased response is.
func seed(t testing.TB, s *gormstore.Store, n int) int {
	t.Helper()
	for _, q := range append(expiredRows, expiredTokens) {
		runSQL(t, s, fmt.Sprintf(q, n))
	}
	return n * len(expiredRows)
}

// impatient is a database URL whose sessions wait for no lock.
func impatient(url string) string { return url + "&lock_timeout=50" }

// Three processes prune at once: each record is deleted once, and nobody waits.
func TestPruneTogether_attack_229(t *testing.T) {
	ctx := t.Context()
	url := storetest.URL(t)
	db := migrated(t, opened(t)(postgres.Open(url, &patient)))
	want := seed(t, db, 2500)
	// A response that is erased before its family is deleted counts, so the number of these is not known.
	runSQL(t, db, "UPDATE vestibule_refresh_tokens SET sealed = NULL, sealed_until_us = 0")
	var wg sync.WaitGroup
	start := make(chan struct{})
	var removed [3]int
	for i := range removed {
		s := migrated(t, opened(t)(postgres.Open(impatient(url), &patient)))
		wg.Go(func() {
			<-start
			list, err := storage.PruneAll(ctx, time.Now(), s)
			if err != nil {
				t.Error(err)
			}
			removed[i] = list[0].Records
		})
	}
	close(start)
	wg.Wait()
	if n := removed[0] + removed[1] + removed[2]; n != want {
		t.Errorf("removed %v, together %d, want %d", removed, n, want)
	}
	t.Log("removed", removed)
	empty(t, db)
}

// empty checks that nothing of seed is left.
func empty(t *testing.T, s *gormstore.Store) {
	t.Helper()
	var n int
	must(t, s.DB(t.Context()).Raw("SELECT (SELECT count(*) FROM vestibule_blocklist) + (SELECT count(*) FROM vestibule_device_tokens) + (SELECT count(*) FROM vestibule_sessions)"+
		" + (SELECT count(*) FROM vestibule_families) + (SELECT count(*) FROM vestibule_refresh_tokens)").Scan(&n).Error)
	if n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// What another transaction holds is left out, without a wait, and goes at the next call. No token
// loses its family.
func TestPruneSkipsHeld_attack_229(t *testing.T) {
	ctx := t.Context()
	url := storetest.URL(t)
	db := migrated(t, opened(t)(postgres.Open(url, &patient)))
	want := seed(t, db, 20)
	runSQL(t, db, "INSERT INTO vestibule_clients (id, name, method, password, native, trusted, disabled, lists, created_us, registration)"+
		` SELECT 'c' || i, '', 'none', '', FALSE, FALSE, FALSE, '{}', 1, '\x00' FROM generate_series(1, 20) i`)
	want += 20
	s := migrated(t, opened(t)(postgres.Open(impatient(url), &patient)))
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := db.InTx(ctx, func(ctx context.Context) error {
			for _, q := range []string{
				"SELECT 1 FROM vestibule_device_tokens WHERE id = '1' FOR UPDATE", "SELECT 1 FROM vestibule_sessions WHERE id = '1' FOR UPDATE",
				"SELECT 1 FROM vestibule_families WHERE id = 'f1' FOR UPDATE", "SELECT 1 FROM vestibule_refresh_tokens WHERE family = 'f2' FOR UPDATE",
				"SELECT 1 FROM vestibule_clients WHERE id = 'c1' FOR UPDATE",
			} {
				if err := db.DB(ctx).Exec(q).Error; err != nil {
					t.Error(err)
				}
			}
			close(held)
			<-release
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-held
	n, err := s.Prune(ctx, time.Now(), 1000)
	const rows, erased = 5, 1 // of f1, whose family is held
	if n != want-rows+erased || err != nil {
		t.Errorf("removed %d, %v, want %d", n, err, want-rows+erased)
	}
	var orphans int
	must(t, s.DB(ctx).Raw("SELECT count(*) FROM vestibule_refresh_tokens r WHERE NOT EXISTS (SELECT 1 FROM vestibule_families f WHERE f.id = r.family)").Scan(&orphans).Error)
	if orphans != 0 {
		t.Errorf("%d tokens have no family", orphans)
	}
	close(release)
	wg.Wait()
	if n, err := s.Prune(ctx, time.Now(), 1000); n != rows || err != nil {
		t.Errorf("removed %d, %v, want %d", n, err, rows)
	}
	empty(t, db)
}

// An entry that is blocked for longer, in a transaction that has not ended, is left out without a wait.
func TestPruneBesideBlock_attack_229(t *testing.T) {
	ctx := t.Context()
	url := storetest.URL(t)
	db := migrated(t, opened(t)(postgres.Open(url, &patient)))
	s := migrated(t, opened(t)(postgres.Open(impatient(url), &patient)))
	key := storage.BlockKeyOf(storage.BlockJTI, "", "1")
	must(t, db.Block(ctx, time.Unix(1000, 0), key))
	must(t, db.InTx(ctx, func(ctx context.Context) error {
		if err := db.Block(ctx, time.Unix(2000, 0), key); err != nil {
			return err
		}
		if n, err := s.Prune(t.Context(), time.Unix(1500, 0), 1); n != 0 || err != nil {
			t.Errorf("removed %d, %v", n, err)
		}
		return nil
	}))
	if n, err := s.Prune(ctx, time.Unix(1500, 0), 1); n != 0 || err != nil {
		t.Errorf("what was blocked longer was removed: %d, %v", n, err)
	}
	if n, err := s.Prune(ctx, time.Unix(2500, 0), 1); n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
}

// How many rows of an expired table one, and three, processes remove in a second.
func BenchmarkPrune(b *testing.B) {
	for _, pruners := range []int{1, 3} {
		b.Run(fmt.Sprintf("pruners=%d", pruners), func(b *testing.B) {
			const rows = 20_000
			url := storetest.URL(b)
			var stores []*gormstore.Store
			for range pruners {
				stores = append(stores, migrated(b, opened(b)(postgres.Open(url, &patient))))
			}
			for b.Loop() {
				b.StopTimer()
				runSQL(b, stores[0], fmt.Sprintf(expiredRows[1], rows))
				b.StartTimer()
				var wg sync.WaitGroup
				for _, s := range stores {
					wg.Go(func() {
						if _, err := storage.PruneAll(b.Context(), time.Now(), s); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// A table that grows faster than it is pruned does not keep the others from being pruned.
func TestPruneTakesTurns(t *testing.T) {
	eachDatabase(t, func(t *testing.T, kind string, open opener) {
		ctx, s := t.Context(), migrated(t, open(nil))
		past := time.Now().Add(-time.Hour)
		must(t, s.CreateUser(ctx, storage.User{ID: "u", Name: "u", Active: true}))
		must(t, s.CreateSession(ctx, storage.Session{Digest: storage.DigestOf("v"), ID: "v", Subject: "u", Created: past, AuthTime: past, LastSeen: past, Expires: past, Ends: past}, storage.Digest{}))
		for call := range 20 {
			for i := range 60 {
				must(t, s.Block(ctx, past, storage.BlockKeyOf(storage.BlockJTI, "", fmt.Sprint(call, " ", i))))
			}
			if n, err := s.Prune(ctx, time.Now(), 50); err != nil || n == 0 {
				t.Fatalf("%d, %v", n, err)
			}
		}
		var left int
		must(t, s.DB(ctx).Raw("SELECT count(*) FROM vestibule_sessions").Scan(&left).Error)
		if left != 0 {
			t.Error("the session was never pruned")
		}
	})
}
