package memory_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// TestUnusedClients checks the option: an age of its own, and NoExpiry, which keeps every client.
func TestUnusedClients(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		option, age time.Duration
		want        int
	}{{0, 29 * 24 * time.Hour, 0}, {0, 31 * 24 * time.Hour, 1}, {time.Hour, 2 * time.Hour, 1}, {time.Hour, time.Minute, 0}, {storage.NoExpiry, 10_000 * time.Hour, 0}} {
		s := memory.New(&memory.Options{UnusedClients: c.option})
		must(t, s.CreateClient(t.Context(), storage.Client{ID: "c", Method: "none", Registration: storage.DigestOf("x"), Created: now.Add(-c.age)}))
		if n, err := s.Prune(t.Context(), now, 10); n != c.want || err != nil {
			t.Errorf("option %v, age %v: removed %d, %v; want %d", c.option, c.age, n, err, c.want)
		}
	}
}
