package knox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Events report what happened to whom, and hold no secret.
func TestEvents(t *testing.T) {
	s := schemetest.Watch(memory.New(nil))
	schemetest.Add(t, s, "alice")
	var c schemetest.Clock
	var j schemetest.Journal
	events := audit.To(j.Observe)
	x := scheme(t, s, &knox.Options{Clock: c.Now, Limit: 2, EvictOldest: true, Audit: events, Logger: schemetest.Quiet})
	issue(t, x, "id-alice", knox.Token{TTL: time.Minute})
	issue(t, x, "id-alice", knox.Token{})
	c.Set(time.Second)
	_, third := issue(t, x, "id-alice", knox.Token{})
	if e := j.Events()[2]; e.Kind != audit.TokenEvicted || e.Subject != "id-alice" || e.Count != 1 || e.Credential == "" || e.Credential == events.Credential(third.ID) {
		t.Errorf("evicted: %+v", e)
	}
	want := func(what, kinds string) {
		t.Helper()
		if got := j.Take(); got != kinds {
			t.Errorf("%s: events %q, want %q", what, got, kinds)
		}
	}
	want("three tokens of two", "token.created token.created token.evicted token.created")
	schemetest.Must(t, x.Revoke(t.Context(), "id-alice", third.ID))
	want("revoke", "token.revoked")
	_ = x.Revoke(t.Context(), "id-alice", third.ID)
	want("revoke nothing", "")
	_, err := x.RevokeAll(t.Context(), "id-alice")
	schemetest.Must(t, err)
	if n := j.Events()[0].Count; n != 1 || j.Events()[0].Credential != "" {
		t.Errorf("revoke all: %+v", j.Events()[0])
	}
	want("revoke all", "token.revoked")
	_, err = x.RevokeAll(t.Context(), "id-alice")
	schemetest.Must(t, err)
	want("revoke all of none", "")
	text, first := issue(t, x, "id-alice", knox.Token{TTL: time.Minute})
	c.Set(2 * time.Minute)
	refused(t, x, text)
	if e := j.Events()[1]; e.Credential != events.Credential(first.ID) || e.Reason != "expired" || e.Subject != "id-alice" {
		t.Errorf("expired: %+v", e)
	}
	want("expired", "token.created credential.rejected")
	schemetest.Do(x.Login(schemetest.Anyone{Subject: "id-alice"}), schemetest.Post(login))
	want("login", "token.created login.succeeded")
	s.Fail(errors.New("read-only"), schemetest.Writes()...)
	if schemetest.Do(x.Login(schemetest.Anyone{Subject: "id-alice"}), schemetest.Post(login)).Code != 503 {
		t.Error("a login that could not be written")
	}
	want("a login that could not be written", "")
	schemetest.Do(x.Login(schemetest.Nobody{}), schemetest.Post(login))
	if e := j.Events()[0]; e.Subject != "" || e.Credential != "" || e.Reason != "invalid_credentials" {
		t.Errorf("failed login: %+v", e)
	}
	want("failed login", "login.failed")
}
