package exchange_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// eachCached runs f on every database behind a cache, for opaque and for signed tokens.
func eachCached(t *testing.T, f func(t *testing.T, w *oauthtest.World)) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, base storagetest.Store) {
				s, err := cached.New(base.(cached.Base), &cached.Options{TTL: cached.MaxTTL, Clock: func() time.Time { return oauthtest.Born }})
				oauthtest.Must(t, err)
				f(t, newWorld(t, s, signed))
			})
		})
	}
}

// Behind a cache, too, no token of a chain of exchanges survives log-out-everywhere: not at the API,
// not in an introspection, and not as the subject of another exchange.
func TestLogOutEverywhereRevokesChains_attack_497(t *testing.T) {
	check := func(t *testing.T, w *oauthtest.World) {
		token := w.Exchange("app", w.Code("app", nil)).Access
		chain := []string{token}
		for _, client := range []string{"next", "last", "end"} {
			chain = append(chain, exchanges(w, client, chain[len(chain)-1]).Access)
		}
		for range 2 { // the second time from the cache
			for i, text := range chain {
				if w.Status(text) != 200 || !w.Post(w.Introspect(), "api", "token", text).Active {
					t.Fatalf("token %d is not active", i)
				}
			}
		}
		_, err := w.DB.BumpEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		for i, text := range chain {
			if code, r := w.Status(text), w.Post(w.Introspect(), "api", "token", text); code != 401 || r.Active || r.Status != 200 {
				t.Errorf("token %d: %d, introspection %s", i, code, r.Body)
			}
		}
		if r := exchanges(w, "last", chain[1]); r.Status != 400 || r.Error != "invalid_request" {
			t.Errorf("exchange: %d %s", r.Status, r.Body)
		}
	}
	t.Run("direct", func(t *testing.T) { each(t, check) })
	t.Run("cached", func(t *testing.T) { eachCached(t, check) })
}

// Exchanges that run beside log-out-everywhere leave no active token, whichever comes first.
func TestExchangeRacesLogOutEverywhere(t *testing.T) {
	check := func(t *testing.T, w *oauthtest.World) {
		for round := range 5 {
			token := w.Exchange("app", w.Code("app", nil)).Access
			if w.Status(token) != 200 {
				t.Fatalf("round %d: the token is not active", round)
			}
			got := make([]oauthtest.Reply, 6)
			start := make(chan struct{})
			var all sync.WaitGroup
			for i := range got {
				all.Go(func() {
					<-start
					got[i] = exchanges(w, []string{"next", "last"}[i%2], token)
				})
			}
			all.Go(func() {
				<-start
				if _, err := w.DB.BumpEpoch(t.Context(), "id-alice"); err != nil {
					t.Error(err)
				}
			})
			close(start)
			all.Wait()
			for _, r := range got {
				switch {
				case r.Status == 200 && w.Status(r.Access) != 401:
					t.Errorf("round %d: an exchanged token survives", round)
				case r.Status != 200 && (r.Status != 400 || r.Error != "invalid_request"):
					t.Errorf("round %d: %d %s", round, r.Status, r.Body)
				}
			}
		}
	}
	t.Run("direct", func(t *testing.T) { each(t, check) })
	t.Run("cached", func(t *testing.T) { eachCached(t, check) })
}

// Two exchanges of one token at once give two tokens, because an exchange uses nothing up.
func TestExchangesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *oauthtest.World) {
		token := w.Exchange("app", w.Code("app", nil)).Access
		got := make([]oauthtest.Reply, 8)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() { got[i] = exchanges(w, "next", token) })
		}
		all.Wait()
		seen := map[string]bool{}
		for _, r := range got {
			if r.Status != 200 || w.Status(r.Access) != 200 || seen[r.Access] {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			seen[r.Access] = true
		}
	})
}

// A user's grant that ends with its own client takes the agents' tokens with it, and an agent that is
// disabled in the middle of a chain cannot be the reason for another exchange.
func TestDisabledClients(t *testing.T) {
	each(t, func(t *testing.T, w *oauthtest.World) {
		first := exchanges(w, "next", w.Exchange("app", w.Code("app", nil)).Access).Access
		second := exchanges(w, "last", first).Access
		oauthtest.Must(t, w.DB.SetClientDisabled(t.Context(), "next", true))
		if r := exchanges(w, "end", first); r.Status != 400 {
			t.Errorf("token of a disabled agent: %d %s", r.Status, r.Body)
		}
		oauthtest.Must(t, w.DB.SetClientDisabled(t.Context(), "app", true))
		for what, text := range map[string]string{"first": first, "second": second} {
			if code := w.Status(text); code != 401 {
				t.Errorf("%s: %d after the client of the grant was disabled", what, code)
			}
		}
		if r := exchanges(w, "end", second); r.Status != 400 || r.Error != "invalid_request" {
			t.Errorf("exchange: %d %s", r.Status, r.Body)
		}
	})
}

// A store that fails is 503 with Retry-After and issues nothing, whichever query it fails in.
func TestExchangeWithoutAStore(t *testing.T) {
	for _, signed := range []bool{false, true} {
		w := newWorld(t, memory.New(nil), signed)
		token := w.Exchange("app", w.Code("app", nil)).Access
		agent := exchanges(w, "next", token).Access
		w.DB.Fail.Store(true)
		for _, c := range [][2]string{{"next", token}, {"last", agent}} {
			r := exchanges(w, c[0], c[1])
			if r.Status != 503 || r.Access != "" || r.Header.Get("Retry-After") == "" {
				t.Errorf("signed=%v: %d %s", signed, r.Status, r.Body)
			}
		}
		if code := w.Status(agent); code != 503 && !signed { // Faulty answers for signed tokens
			t.Errorf("signed=%v: at the API: %d", signed, code)
		}
		w.DB.Fail.Store(false)
		if r := exchanges(w, "last", agent); r.Status != 200 {
			t.Errorf("signed=%v: afterwards: %s", signed, r.Body)
		}
		if strings.Contains(w.Log.String(), token) || strings.Contains(w.Log.String(), agent) {
			t.Error("a token is in the log")
		}
	}
}

// An agent cannot approve, list or revoke anything for its user, and is not first-party.
func TestAgentsAreNotTheUser_attack_499(t *testing.T) {
	w := newWorld(t, memory.New(nil), false)
	token := exchanges(w, "next", w.Exchange("app", w.Code("app", nil)).Access).Access
	id, err := w.Identity(token)
	oauthtest.Must(t, err)
	front := authn.New(authn.Chain{w.Scheme()}, nil)
	for what, c := range map[string]struct {
		h            http.Handler
		method, path string
	}{
		"list of grants":   {w.Grants(), "GET", "/oauth2/grants"},
		"revoking a grant": {w.RevokeGrant(), "DELETE", "/oauth2/grants/x"},
		"log-out-everywhere": {http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if err := login.FirstPartyOf(authn.FromContext(r.Context()), w.DB); err != nil {
				authn.Respond(rw, r, err)
			}
		}), "POST", "/logout/everywhere"},
	} {
		r := httptest.NewRequest(c.method, oauthtest.Issuer+c.path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		front.Handler(c.h).ServeHTTP(rec, r)
		if rec.Code != 403 {
			t.Errorf("%s: %d %s", what, rec.Code, rec.Body)
		}
	}
	if rec := w.Authorizes(&id, "GET", oauthtest.Query("app", "scope", "read"), ""); rec.Code == 200 {
		t.Errorf("consent page: %d %s", rec.Code, rec.Body)
	}
}
