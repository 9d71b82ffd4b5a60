package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
)

// A new connection that leads elsewhere is noticed, once somebody is interested.
func TestServerChanges(t *testing.T) {
	var s servers
	one, other := pgtest.URL(t), pgtest.URL(t)
	connect := func(url string, want uint64) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		s.connected(t.Context(), conn)
		if got := s.n.Load(); got != want {
			t.Errorf("%d changes, want %d", got, want)
		}
	}
	connect(one, 0)
	connect(other, 0) // nobody asks
	if n := s.changes(); n != 0 {
		t.Error(n)
	}
	connect(one, 0) // the first one that is asked for
	connect(one, 0)
	connect(other, 1)
	connect(other, 1)
	connect(one, 2)
	conn, err := pgx.Connect(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	if s.connected(t.Context(), conn); s.n.Load() != 3 {
		t.Error("a server that does not say who it is counts as the same")
	}
}
