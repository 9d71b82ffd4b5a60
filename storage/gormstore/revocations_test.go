package gormstore_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// revoked returns the names that a store lists as revoked since a time.
func revoked(t *testing.T, s storage.Revocations, since time.Time) (names []string) {
	t.Helper()
	all := map[string]bool{}
	must(t, s.RevokedSince(t.Context(), since, 1000, func(r storage.Revocation) {
		switch {
		case r.Subject != "":
			all["subject "+r.Subject] = true
		case r.Client != "":
			all["client "+r.Client] = true
		default:
			all[fmt.Sprintf("key %x", r.Key[:4])] = true
		}
	}))
	return slices.Sorted(maps.Keys(all))
}

func keyName(k storage.BlockKey) string { return fmt.Sprintf("key %x", k[:4]) }

func TestRevokedSince_attack_108(t *testing.T) {
	eachDatabase(t, func(t *testing.T, kind string, open opener) {
		ctx, s := t.Context(), migrated(t, open(nil))
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			must(t, s.CreateUser(ctx, storage.User{ID: id, Name: id, Active: true, Roles: []string{"admin"}}))
			must(t, s.CreateClient(ctx, storage.Client{ID: id, Method: "none"}))
		}
		began := time.Now().Add(-time.Second)
		key := storage.BlockKeyOf(storage.BlockJTI, "https://auth.example", "1")
		must(t, s.SetRoles(ctx, "a", "reader"))
		must(t, s.SetActive(ctx, "b", false))
		must(t, s.DeleteUser(ctx, "c"))
		_, err := s.BumpEpoch(ctx, "d")
		must(t, err)
		must(t, s.SetClientDisabled(ctx, "a", true))
		must(t, s.DeleteClient(ctx, "b"))
		must(t, s.Block(ctx, time.Now().Add(time.Minute), key))
		want := []string{"client a", "client b", keyName(key), "subject a", "subject b", "subject c", "subject d"}
		if got := revoked(t, s, began); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if kind == "postgres" { // also by SQL, and for many accounts at once
			for i := range 200 {
				must(t, s.CreateUser(ctx, storage.User{ID: fmt.Sprint("n", i), Name: fmt.Sprint("n", i), Active: true}))
			}
			runSQL(t, s, "UPDATE vestibule_users SET roles = '' WHERE id = 'e' OR id LIKE 'n%'")
			runSQL(t, s, "UPDATE vestibule_users SET email = 'e@example.org' WHERE id LIKE 'n%'")
			runSQL(t, s, "DELETE FROM vestibule_clients WHERE id = 'e'")
			got := revoked(t, s, began)
			if n := len(got); n != len(want)+202 || !slices.Contains(got, "subject e") || !slices.Contains(got, "client e") || !slices.Contains(got, "subject n199") {
				t.Errorf("%d names by SQL", n)
			}
		}
		if got := revoked(t, s, time.Now().Add(time.Hour)); len(got) != 0 {
			t.Errorf("in the future: %q", got)
		}
		if err := s.RevokedSince(ctx, began, 3, func(storage.Revocation) {}); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("more than the limit: %v", err)
		}
		n, err := s.Prune(ctx, time.Now(), 1000)
		if got := revoked(t, s, began); err != nil || !slices.Contains(got, "subject a") || !slices.Contains(got, keyName(key)) {
			t.Errorf("after Prune of %d: %q, %v", n, got, err)
		}
	})
}

func TestTokenLifetimes_attack_465(t *testing.T) {
	eachDatabase(t, func(t *testing.T, kind string, open opener) {
		ctx, now := t.Context(), time.Now()
		s := migrated(t, open(&gormstore.Options{Clock: func() time.Time { return now }}))
		record := func(lifetime, want time.Duration) {
			t.Helper()
			l, err := s.RecordTokenLifetime(ctx, lifetime)
			if err != nil || l.Longest != want || l.Now.Sub(now).Abs() > time.Millisecond || !l.Since.IsZero() {
				t.Errorf("%+v, %v; want %v", l, err, want)
			}
		}
		record(5*time.Minute, 5*time.Minute)
		record(30*time.Minute, 30*time.Minute)
		for range 39 {
			record(5*time.Minute, 30*time.Minute)
			now = now.Add(time.Minute)
		}
		// Whoever blocks does so for at least the longest lifetime.
		key := storage.BlockKeyOf(storage.BlockSID, "", "family")
		must(t, s.Block(ctx, now.Add(6*time.Minute), key))
		now = now.Add(29 * time.Minute)
		if _, err := s.Prune(ctx, now, 100); err != nil {
			t.Error(err)
		}
		if st, err := s.TokenStatusOf(ctx, "nobody", storage.BlockKeys{SID: key}); err != nil || !st.Blocked {
			t.Errorf("%+v, %v: the entry of a longer token was removed", st, err)
		}
		record(5*time.Minute, 5*time.Minute)
		now = now.Add(time.Hour)
		record(time.Minute, time.Minute)
		for _, bad := range []time.Duration{0, -time.Hour, time.Millisecond, 25 * time.Hour} {
			if _, err := s.RecordTokenLifetime(ctx, bad); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("%v: %v", bad, err)
			}
		}
	})
}

// A database that issued tokens before it recorded changes, or whose accounts were truncated, says
// from when on it knows everything.
func TestKnownSince_attack_472(t *testing.T) {
	eachDatabase(t, func(t *testing.T, kind string, open opener) {
		ctx, s := t.Context(), migrated(t, open(nil))
		since := func() time.Time {
			l, err := s.RecordTokenLifetime(ctx, time.Minute)
			must(t, err)
			return l.Since
		}
		if got := since(); !got.IsZero() {
			t.Errorf("a new database: %v", got)
		}
		if kind == "postgres" {
			runSQL(t, s, "TRUNCATE vestibule_sessions")
			if got := since(); !got.IsZero() {
				t.Errorf("after a TRUNCATE of sessions: %v", got)
			}
			runSQL(t, s, "TRUNCATE vestibule_users")
			if got := since(); time.Since(got) > time.Minute {
				t.Errorf("after a TRUNCATE of accounts: %v", got)
			}
		}
		must(t, s.CreateUser(ctx, storage.User{ID: "a", Name: "a", Active: true}))
		must(t, s.CreateFamily(ctx, storage.Family{ID: "f", Purpose: "jwt", Subject: "a", Created: time.Now(), Expires: time.Now().Add(time.Hour), AuthTime: time.Now()},
			storage.Refresh{Digest: storage.DigestOf("r"), Created: time.Now(), Expires: time.Now().Add(time.Hour)}))
		drop := []string{"DROP TABLE vestibule_audit", "DROP TABLE vestibule_token_lifetimes", "DROP TABLE vestibule_changes", "DROP INDEX vestibule_subjects_epoch", "DELETE FROM vestibule_migrations WHERE version >= 18"}
		if kind == "postgres" {
			drop = append(drop, "DROP FUNCTION vestibule_bus_changed(TEXT, TEXT)", "DROP TRIGGER vestibule_bus_update ON vestibule_blocklist", "DROP TRIGGER vestibule_bus_content ON vestibule_clients", "DROP FUNCTION vestibule_bus_client()")
		}
		for _, sql := range append(withoutFactorsAndLinks(), drop...) {
			runSQL(t, s, sql)
		}
		must(t, s.Migrate(ctx))
		if got := since(); time.Since(got) > time.Minute {
			t.Errorf("after the migration of a database with logins: %v", got)
		}
	})
}
