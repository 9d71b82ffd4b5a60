package gormstore_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// TestUnusedClients checks the option: an age of its own, NoExpiry, which keeps every client, and
// values that make no sense.
func TestUnusedClients(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		option, age time.Duration
		want        int
	}{{0, 31 * 24 * time.Hour, 1}, {time.Hour, 2 * time.Hour, 1}, {time.Hour, time.Minute, 0}, {storage.NoExpiry, 10_000 * time.Hour, 0}} {
		s, err := sqlite.Open(t.TempDir()+"/v.db", &gormstore.Options{UnusedClients: c.option})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateClient(t.Context(), storage.Client{ID: "c", Method: "none", Registration: storage.DigestOf("x"), Created: now.Add(-c.age)}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Prune(t.Context(), now, 10); n != c.want || err != nil {
			t.Errorf("option %v, age %v: removed %d, %v; want %d", c.option, c.age, n, err, c.want)
		}
	}
	if s, err := sqlite.Open(t.TempDir()+"/v.db", &gormstore.Options{UnusedClients: -time.Hour}); err == nil {
		_ = s.Close()
		t.Error("an age below 0 is accepted")
	}
}
