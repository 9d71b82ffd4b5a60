package clientdoc_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// CIMD-40: the document at the decision counts, not the one at the page.
func TestDroppedRedirect(t *testing.T) {
	w := newWorld(t, nil)
	w.age = "max-age=300"
	id := w.put("/c", nil)
	handle := oauthtest.HandleOf(t, w.Authorizes(w.Alice("s"), "GET", query(id), ""))
	w.put("/c", map[string]any{"redirect_uris": []string{"https://app.example/other"}})
	w.Pass(6 * time.Minute)
	rec := w.Authorizes(w.Alice("s"), "POST", "", "decision=allow&handle="+url.QueryEscape(handle))
	if rec.Code != 400 || rec.Header().Get("Location") != "" {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	if _, err := w.DB.ClientByID(t.Context(), id); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("recorded: %v", err)
	}
}

// CIMD-41, and what other changes of a document do: keys change nothing, a name or a redirect URI
// forgets the consent.
func TestChangedDocument(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := newWorldOn(t, s, func(o *oauthtest.Options) { o.RememberConsent = 24 * time.Hour })
		ring := oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))
		confidential := func(more map[string]any) map[string]any {
			d := map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(oauthtest.PublicSet(t, ring))}
			for name, v := range more {
				d[name] = v
			}
			return d
		}
		id := w.put("/c", confidential(nil))
		by := func() []string {
			return []string{"client_assertion_type", oauthtest.AssertionType, "client_assertion", w.Assertion(ring, "JWT", id, nil)}
		}
		login := func() oauthtest.Reply {
			t.Helper()
			rec := w.Authorizes(w.Alice("s"), "GET", query(id), "")
			if rec.Code == 200 {
				rec = w.Authorizes(w.Alice("s"), "POST", "", "decision=allow&handle="+url.QueryEscape(oauthtest.HandleOf(t, rec)))
			}
			v := oauthtest.Sent(t, rec, redirect)
			got := w.Post(w.Token(), "", append(by(), "grant_type", "authorization_code", "code", v.Get("code"), "redirect_uri", redirect, "code_verifier", oauthtest.Verifier)...)
			if got.Status != 200 {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			return got
		}
		got := login()
		if w.asks(query(id)) != "code" {
			t.Fatal("the consent is not remembered")
		}
		old := ring
		ring = oauthtest.RingOf(t, "k2", jose.EdDSA, oauthtest.Ed25519Key(t))
		w.put("/c", confidential(nil))
		w.Pass(2 * time.Hour)
		got = w.Post(w.Token(), "", append(by(), "grant_type", "refresh_token", "refresh_token", got.Refresh)...) // with the new key
		if got.Status != 200 || w.asks(query(id)) != "code" {
			t.Fatalf("new keys: %d %s", got.Status, got.Body)
		}
		if bad := w.Post(w.Token(), "", "client_assertion_type", oauthtest.AssertionType, "client_assertion", w.Assertion(old, "JWT", id, nil), "grant_type", "refresh_token", "refresh_token", got.Refresh); bad.Status != 401 {
			t.Errorf("the old key: %d", bad.Status)
		}
		w.put("/c", confidential(map[string]any{"client_name": "Other"}))
		w.Pass(2 * time.Hour)
		if w.asks(query(id)) != "page" {
			t.Error("a new name: the old consent counts")
		}
		login()
		w.put("/c", map[string]any{"client_name": "Other"}) // now public
		w.Pass(2 * time.Hour)
		if w.asks(query(id)) == "code" {
			t.Error("the consent survived")
		}
		if after := w.Refreshes("", got.Refresh, "client_id", id); after.Status != 400 || after.Error != "invalid_grant" || w.Status(got.Access) != 401 {
			t.Errorf("the grants live on: %d %s, %d", after.Status, after.Body, w.Status(got.Access))
		}
	})
}

// A document that cannot be fetched any more serves for a while.
func TestStale(t *testing.T) {
	w := newWorld(t, nil)
	id := w.put("/c", nil)
	unused := w.put("/unused", nil)
	got := w.Allows(w.Alice("s"), "", query(id))
	w.asks(query(unused))
	w.remove("/c")
	w.remove("/unused")
	w.Pass(59 * time.Minute)
	if n := w.fetched("/"); w.asks(query(id)) != "page" || w.fetched("/") != n {
		t.Error("fetched while it is fresh")
	}
	w.Pass(2 * time.Minute)
	if n := w.fetched("/c"); w.asks(query(id)) != "page" || w.fetched("/c") != n+1 || w.asks(query(unused)) != "page" {
		t.Error("an hour later")
	}
	if got = w.Refreshes("", got.Refresh, "client_id", id); got.Status != 200 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	w.Pass(24 * time.Hour)
	if got := w.asks(query(id)); got != refused {
		t.Errorf("a day later: %s", got)
	}
	if got = w.Refreshes("", got.Refresh, "client_id", id); got.Status != 200 {
		t.Errorf("a refresh a day later: %d %s", got.Status, got.Body)
	}
	w.Pass(6*24*time.Hour + time.Hour)
	if got := w.Refreshes("", got.Refresh, "client_id", id); got.Status != 401 {
		t.Errorf("a week later: %d %s", got.Status, got.Body)
	}
	w.put("/c", nil)
	if got = w.Refreshes("", got.Refresh, "client_id", id); got.Status != 200 {
		t.Errorf("when it is back: %d %s", got.Status, got.Body)
	}
}

// How long a document is used is up to its server, within limits.
func TestFreshness(t *testing.T) {
	for age, want := range map[string]time.Duration{"no-store": 5 * time.Minute, "max-age=600": 10 * time.Minute, "max-age=9999999": 24 * time.Hour, "": time.Hour} {
		w := newWorld(t, nil)
		w.age = age
		id := w.put("/c", nil)
		w.asks(query(id))
		w.Pass(want - time.Second)
		if w.asks(query(id)); w.fetched("/c") != 1 {
			t.Errorf("%q: fetched early", age)
		}
		w.Pass(2 * time.Second)
		if w.asks(query(id)); w.fetched("/c") != 2 {
			t.Errorf("%q: fetched %d times", age, w.fetched("/c"))
		}
	}
}

// A failure is not kept: the next request tries again.
func TestFailuresAreNotCached(t *testing.T) {
	w := newWorld(t, nil)
	id := w.origin + "/c"
	if got := w.asks(query(id)); got != refused {
		t.Error(got)
	}
	w.put("/c", nil)
	if got := w.asks(query(id)); got != "page" {
		t.Error(got)
	}
}

// The client that is pushed is the client that is shown, also if its document changed meanwhile.
func TestPushed(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := newWorldOn(t, s, nil)
		id := w.put("/c", nil)
		got := w.Post(w.PushedAuthorization(), "", append(form(query(id)), "client_id", id)...)
		var answer struct {
			URI string `json:"request_uri"`
		}
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Status != 201 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		w.remove("/c")
		pushed := url.Values{"client_id": {id}, "request_uri": {answer.URI}}.Encode()
		if got := w.asks(pushed); got != "page" {
			t.Fatal(got)
		}
		if got := w.asks(url.Values{"client_id": {w.put("/d", nil)}, "request_uri": {answer.URI}}.Encode()); got != "error invalid_request_uri" {
			t.Errorf("another client: %s", got)
		}
		if got := w.Allows2(pushed, id); got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if got := w.asks(pushed); got != "error invalid_request_uri" {
			t.Errorf("afterwards: %s", got)
		}
		if got := w.Post(w.PushedAuthorization(), "", append(form(query(w.origin+"/none")), "client_id", w.origin+"/none")...); got.Status != 401 || got.Error != "invalid_client" {
			t.Errorf("no document: %d %s", got.Status, got.Body)
		}
	})
}

// Allows2 allows a pushed request and exchanges the code.
func (w *world) Allows2(pushed, id string) oauthtest.Reply {
	w.T.Helper()
	handle := oauthtest.HandleOf(w.T, w.Authorizes(w.Alice("s"), "GET", pushed, ""))
	v := oauthtest.Sent(w.T, w.Authorizes(w.Alice("s"), "POST", "", "decision=allow&handle="+url.QueryEscape(handle)), redirect)
	return w.Post(w.Token(), "", "grant_type", "authorization_code", "client_id", id, "code", v.Get("code"), "redirect_uri", redirect, "code_verifier", oauthtest.Verifier)
}

// The hook refuses a client, and a hook that fails is no refusal.
func TestAllow(t *testing.T) {
	var answer error
	w := newWorld(t, func(o *oauthtest.Options) {
		o.ClientDocuments.Allow = func(_ context.Context, id string, document []byte) error {
			if !strings.HasPrefix(id, "https://app.example:") || !strings.Contains(string(document), `"App"`) {
				t.Errorf("%s %s", id, document)
			}
			return answer
		}
	})
	id := w.put("/c", nil)
	answer = authn.PermissionDenied("")
	if got := w.asks(query(id)); got != refused {
		t.Error(got)
	}
	answer = errors.New("down")
	if rec := w.Authorizes(w.Alice("s"), "GET", query(id), ""); rec.Code != 503 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	answer = nil
	if got := w.asks(query(id)); got != "page" {
		t.Error(got)
	}
}

// P44, P45, CIMD-42: keys at a URL.
func TestKeysURI(t *testing.T) {
	w := newWorld(t, nil)
	ring := oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))
	c := storage.Client{ID: "keyed", Method: "private_key_jwt", KeysURI: w.origin + "/keys", Grants: []string{"client_credentials"}, Scopes: []string{"read"}, Default: []string{"read"}}
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), c))
	status := func(r *jose.KeySet) int { return w.Asserts(w.Assertion(r, "JWT", "keyed", nil)).Status }
	if got := status(ring); got != 401 {
		t.Errorf("no keys: %d", got)
	}
	w.raw("/keys", string(oauthtest.PublicSet(t, ring)))
	if got := status(ring); got != 401 || w.fetched("/keys") != 1 {
		t.Errorf("at once: %d, %d fetches", got, w.fetched("/keys"))
	}
	w.Pass(11 * time.Second)
	if got := status(ring); got != 200 {
		t.Errorf("%d", got)
	}
	next := oauthtest.RingOf(t, "k2", jose.EdDSA, oauthtest.Ed25519Key(t))
	w.raw("/keys", string(oauthtest.PublicSet(t, next)))
	for range 100 { // P45
		if got := status(next); got != 401 {
			t.Fatalf("%d", got)
		}
	}
	if w.fetched("/keys") != 2 {
		t.Errorf("%d fetches", w.fetched("/keys"))
	}
	w.Pass(11 * time.Second)
	if got := status(next); got != 200 || status(ring) != 401 { // P44
		t.Errorf("rotated: %d", got)
	}
	w.remove("/keys")
	w.Pass(30 * time.Minute)
	if got := status(next); got != 200 {
		t.Errorf("stale: %d", got)
	}
	w.Pass(41 * time.Minute)
	if got := status(next); got != 401 {
		t.Errorf("too stale: %d", got)
	}
	w.raw("/keys", `{"keys":[]}`+strings.Repeat(" ", 64<<10))
	w.Pass(time.Minute)
	if got := status(next); got != 401 {
		t.Errorf("too large: %d", got)
	}
	hits := 0 // P46: the ranges of package publicfetch
	port := w.net.Serve("inner.example", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }), nil)
	w.net.Point("inner.example", "127.0.0.1")
	c.ID, c.KeysURI = "inner", port+"/keys"
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), c))
	if got := w.Asserts(w.Assertion(ring, "JWT", "inner", nil)); got.Status != 401 || hits != 0 {
		t.Errorf("%d, %d hits", got.Status, hits)
	}
}
