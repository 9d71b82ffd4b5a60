package recovery_test

import (
	"errors"
	"testing"

	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Links that nobody received, or that went to an address that the account no longer has, do not
// prevent the next one.
func TestUndelivered_attack_422(t *testing.T) {
	ask := func(w *world) int {
		t.Helper()
		before := len(w.messages)
		if rec := post(w.Request(), `{"address":"alice"}`); rec.Code != 200 {
			t.Fatal(rec.Code)
		}
		w.Drain(t.Context())
		return len(w.messages) - before
	}
	t.Run("mail server down", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		w.refuse = errors.New("the mail server is down")
		for range 3 {
			ask(w)
		}
		w.refuse = nil
		for i := range 3 {
			if ask(w) != 1 {
				t.Errorf("request %d after the outage: no message, though the owner has fewer than three links", i+1)
			}
		}
		if ask(w) != 0 {
			t.Error("a fourth message: it would replace a link that the owner has just got")
		}
	})
	t.Run("new address", func(t *testing.T) {
		m := &mailed{Store: memory.New(nil)}
		w := newWorld(t, m, func(id, mail string) error { m.mails.Store(id, mail); return nil })
		for range 3 {
			ask(w)
		}
		must(t, w.setMail("id-alice", "new@app.example"))
		if ask(w) != 1 {
			t.Error("no message at the new address")
		}
	})
}
