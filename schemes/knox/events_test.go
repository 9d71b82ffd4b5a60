package knox_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Events tell what happened, to whom, and nothing secret.
func TestEvents(t *testing.T) {
	s := &counter{store: memory.New(nil)}
	add(t, s, "alice")
	var c clock
	var j journal
	events := audit.To(j.observe)
	x := scheme(t, s, &knox.Options{Clock: c.now, Limit: 2, EvictOldest: true, Audit: events, Logger: quiet})
	issue(t, x, "id-alice", knox.Token{TTL: time.Minute})
	issue(t, x, "id-alice", knox.Token{})
	c.set(time.Second)
	_, third := issue(t, x, "id-alice", knox.Token{})
	if e := j.list[2]; e.Kind != audit.TokenEvicted || e.Subject != "id-alice" || e.Count != 1 || e.Credential == "" || e.Credential == events.Credential(third.ID) {
		t.Errorf("evicted: %+v", e)
	}
	want := func(what, kinds string) {
		t.Helper()
		if got := j.take(); got != kinds {
			t.Errorf("%s: events %q, want %q", what, got, kinds)
		}
	}
	want("three tokens of two", "token.created token.created token.evicted token.created")
	must(t, x.Revoke(t.Context(), "id-alice", third.ID))
	want("revoke", "token.revoked")
	_ = x.Revoke(t.Context(), "id-alice", third.ID)
	want("revoke nothing", "")
	_, err := x.RevokeAll(t.Context(), "id-alice")
	must(t, err)
	if n := j.list[0].Count; n != 1 || j.list[0].Credential != "" {
		t.Errorf("revoke all: %+v", j.list[0])
	}
	want("revoke all", "token.revoked")
	_, err = x.RevokeAll(t.Context(), "id-alice")
	must(t, err)
	want("revoke all of none", "")
	text, first := issue(t, x, "id-alice", knox.Token{TTL: time.Minute})
	c.set(2 * time.Minute)
	refused(t, x, text)
	if e := j.list[1]; e.Credential != events.Credential(first.ID) || e.Reason != "expired" || e.Subject != "id-alice" {
		t.Errorf("expired: %+v", e)
	}
	want("expired", "token.created credential.rejected")
	do(x.Login(anyone{subject: "id-alice"}), post(login))
	want("login", "token.created login.succeeded")
	s.writeErr = errors.New("read-only")
	if do(x.Login(anyone{subject: "id-alice"}), post(login)).Code != 503 {
		t.Error("a login that could not be written")
	}
	want("a login that could not be written", "")
	do(x.Login(refusing{}), post(login))
	if e := j.list[0]; e.Subject != "" || e.Credential != "" || e.Reason != "invalid_credentials" {
		t.Errorf("failed login: %+v", e)
	}
	want("failed login", "login.failed")
}

// refusing is a checker that knows nobody.
type refusing struct{}

func (refusing) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{}, authn.InvalidLogin()
}
