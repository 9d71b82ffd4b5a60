package knox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Events tell what happened, to whom, and nothing secret.
func TestEvents(t *testing.T) {
	s := &counter{store: memory.New(nil)}
	add(t, s, "alice")
	var c clock
	var j journal
	x := scheme(t, s, &knox.Options{Clock: c.now, Limit: 2, EvictOldest: true, Observe: j.observe, Logger: quiet})
	issue(t, x, "id-alice", knox.Token{TTL: time.Minute})
	issue(t, x, "id-alice", knox.Token{})
	c.set(time.Second)
	_, third := issue(t, x, "id-alice", knox.Token{})
	if e := j.list[2]; e.Kind != knox.Evicted || e.Subject != "id-alice" || e.Count != 1 || e.TokenID == "" || e.TokenID == third.ID {
		t.Errorf("evicted: %+v", e)
	}
	want := func(what, kinds string) {
		t.Helper()
		if got := j.take(); got != kinds {
			t.Errorf("%s: events %q, want %q", what, got, kinds)
		}
	}
	want("three tokens of two", "issued issued evicted issued")
	must(t, x.Revoke(t.Context(), "id-alice", third.ID))
	want("revoke", "revoked")
	_ = x.Revoke(t.Context(), "id-alice", third.ID)
	want("revoke nothing", "")
	_, err := x.RevokeAll(t.Context(), "id-alice")
	must(t, err)
	if n := j.list[0].Count; n != 1 || j.list[0].TokenID != "" {
		t.Errorf("revoke all: %+v", j.list[0])
	}
	want("revoke all", "revoked")
	_, err = x.RevokeAll(t.Context(), "id-alice")
	must(t, err)
	want("revoke all of none", "")
	text, first := issue(t, x, "id-alice", knox.Token{TTL: time.Minute})
	c.set(2 * time.Minute)
	refused(t, x, text)
	if e := j.list[1]; e.TokenID != first.ID || e.Subject != "id-alice" {
		t.Errorf("expired: %+v", e)
	}
	want("expired", "issued expired")
	do(x.Login(anyone{subject: "id-alice"}), post(login))
	want("login", "logged_in")
	s.writeErr = errors.New("read-only")
	if do(x.Login(anyone{subject: "id-alice"}), post(login)).Code != 503 {
		t.Error("a login that could not be written")
	}
	want("a login that could not be written", "")
	if got := knox.EventKind(99).String(); got != "unknown" {
		t.Error(got)
	}
}
