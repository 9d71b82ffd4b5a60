package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// TestEventsOfForeignTokens checks that a client which introspects or revokes tokens of others is
// reported, and that no event holds a token or its digest.
func TestEventsOfForeignTokens(t *testing.T) {
	t.Run("attack_311", func(t *testing.T) {
		w := oauthtest.NewWorld(t, memory.New(nil), nil)
		pair := w.Exchange("app", w.Code("app", nil))
		created := w.Events()
		if len(created) != 1 {
			t.Fatalf("events %+v", created)
		}
		e, epoch := created[0], created[0].Epoch
		if now, err := w.DB.SubjectEpoch(t.Context(), "id-alice"); err != nil || e.Kind != audit.TokenCreated || e.Outcome != audit.Accepted || e.Scheme != "oauth2" ||
			e.Subject != "id-alice" || e.Client != "app" || e.Family == "" || epoch != now || e.ID == "" || e.Source == "" || e.Count != 1 {
			t.Errorf("%+v, %v", e, err)
		}
		all := created
		for what, c := range map[string]struct {
			client, token, path string
			kind                audit.Kind
			reason              string
		}{
			"introspect access":  {"other", pair.Access, "introspect", audit.IntrospectionRefused, "other_client"},
			"introspect refresh": {"other", pair.Refresh, "introspect", audit.IntrospectionRefused, "other_client"},
			"introspect public":  {"spa", pair.Access, "introspect", audit.IntrospectionRefused, "public_client"},
			"revoke access":      {"other", pair.Access, "revoke", audit.CredentialRejected, "other_client"},
			"revoke refresh":     {"other", pair.Refresh, "revoke", audit.CredentialRejected, "other_client"},
		} {
			h := w.Introspect()
			if c.path == "revoke" {
				h = w.Revoke()
			}
			w.Post(h, c.client, "token", c.token)
			got := w.Events()
			if len(got) != 1 || got[0].Kind != c.kind || got[0].Reason != c.reason || got[0].Client != c.client || got[0].Outcome != audit.Rejected {
				t.Errorf("%s: %+v", what, got)
			}
			all = append(all, got...)
		}
		for _, client := range []string{"app", "api"} { // its own token, and one for what it serves
			if got := w.Post(w.Introspect(), client, "token", pair.Access); got.Status != 200 || w.Take() != "" {
				t.Errorf("%s: %d %s", client, got.Status, got.Body)
			}
		}
		own := w.Post(w.Token(), "app", "grant_type", "client_credentials")
		if got := w.Events(); len(got) != 1 || got[0].Kind != audit.TokenCreated || got[0].Subject != "" || got[0].Client != "app" || got[0].Credential == "" {
			t.Errorf("a client's own: %+v", got)
		}
		text, err := json.Marshal(all)
		oauthtest.Must(t, err)
		for _, secret := range []string{pair.Access, pair.Refresh, own.Access, w.Secrets["app"], w.Secrets["other"]} {
			if d := storage.DigestOf(secret); strings.Contains(string(text), secret) || strings.Contains(string(text), fmt.Sprintf("%x", d[:])) {
				t.Error("an event holds a secret or its digest")
			}
		}
	})
}

// failing is a limiter that fails while down is set.
type failing struct{ down bool }

func (l *failing) Take(context.Context, time.Time, []server.Cell) (time.Duration, error) {
	if l.down {
		return 0, errors.New("the limiter is down")
	}
	return 0, nil
}

// TestEventOfLimiterFailure checks that limits which are counted in memory are reported once for
// each failure of the limiter, and not once for each request.
func TestEventOfLimiterFailure(t *testing.T) {
	l := &failing{}
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) {
		oauthtest.WithLimits(o)
		o.Limits = &oauthtest.Limits{Limiter: l}
	})
	for _, want := range []string{"limit.fallback client.created client.created", "client.created client.created", "limit.fallback client.created client.created"} {
		l.down = strings.HasPrefix(want, "limit")
		w.Registers(oauthtest.Address(1))
		w.Registers(oauthtest.Address(2))
		if got := w.Take(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestEventsWaitForTheCommit checks that an event of a transaction is reported after it committed,
// and not at all if it is rolled back.
func TestEventsWaitForTheCommit(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), nil)
	failed := errors.New("failed")
	for _, want := range []error{failed, nil} {
		err := w.InTx(t.Context(), func(ctx context.Context) error {
			return w.InTx(ctx, func(ctx context.Context) error {
				w.Notify(ctx, audit.Event{Kind: audit.ConsentGiven, Client: "app"})
				return want
			})
		})
		got := w.Take()
		if !errors.Is(err, want) || (got == "") != (want != nil) {
			t.Errorf("%v: events %q", err, got)
		}
	}
}
