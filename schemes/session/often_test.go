package session_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A client that repeatedly sends only the remember cookie gets a limited number of sessions. The
// cookie stays valid.
func TestRememberedTooOften_attack_273(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := remembering(t, s, session.RememberOptions{})
	b := visit(t, a, "alice")
	for range storage.ExchangeBurst {
		b.session = ""
		if got := b.who(); got != aliceIn {
			t.Fatal(got)
		}
	}
	for range 2 {
		b.session = ""
		memo := b.memo
		w := b.send("GET", "/", "")
		if w.Code != 429 || w.Header().Get("Retry-After") == "" || b.memo != memo {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
	if list, err := s.ListSessions(t.Context(), "id-alice", 10_000); err != nil || len(list) > storage.ExchangeBurst+1 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	a.c.Set(storage.ExchangeEvery + time.Second)
	if got := b.who(); got != aliceIn {
		t.Errorf("later: %s", got)
	}
}
