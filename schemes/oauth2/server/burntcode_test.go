package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A used code without a live grant is reported as often as it is sent, but stored never.
func TestUsedCodeStoresNothing_attack_481(t *testing.T) {
	db := memory.New(&memory.Options{Clock: func() time.Time { return oauthtest.Born }})
	reported := 0
	events, err := audit.New(func(_ context.Context, e audit.Event) {
		if e.Kind == audit.CodeReuse {
			reported++
		}
	}, &audit.Options{Required: true})
	oauthtest.Must(t, err)
	w := oauthtest.NewWorld(t, db, func(o *oauthtest.Options) { o.Audit = events })
	stored := func() (n int) {
		list, err := db.AuditAfter(t.Context(), "", 1000)
		oauthtest.Must(t, err)
		for _, r := range list {
			if r.Kind == string(audit.CodeReuse) {
				n++
			}
		}
		return n
	}
	burnt := w.Code("app", nil)
	for range 20 {
		if got := w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", burnt, "redirect_uri", oauthtest.Redirect, "code_verifier", strings.Repeat("x", 43)); got.Status != 400 {
			t.Fatalf("%+v", got)
		}
	}
	if reported != 19 || stored() != 0 {
		t.Errorf("a burnt code: %d reported, %d stored", reported, stored())
	}
	granted := w.Code("app", nil)
	if got := w.Exchange("app", granted); got.Status != 200 {
		t.Fatalf("%+v", got)
	}
	for range 5 {
		w.Exchange("app", granted)
	}
	if stored() != 1 {
		t.Errorf("a code whose grant was revoked: %d stored, want 1", stored())
	}
}
