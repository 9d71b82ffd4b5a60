package oauth2_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func remembering(o *oauth2.Options) {
	withSessions(o)
	o.RememberConsent = 24 * time.Hour
}

// allows answers the consent page of the request with yes, and exchanges the code.
func (w *world) allows(alice *authn.Identity, client, query string) reply {
	w.t.Helper()
	handle := handleOf(w.t, w.authorize(alice, "GET", query, ""))
	rec := w.authorize(alice, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow")
	_, text, _ := strings.Cut(rec.Header().Get("Location"), "?")
	v, _ := url.ParseQuery(text)
	q, _ := url.ParseQuery(query)
	got := w.post(w.Token(), client, "grant_type", "authorization_code", "client_id", q.Get("client_id"), "code", v.Get("code"), "redirect_uri", q.Get("redirect_uri"), "code_verifier", verifier)
	if got.Status != 200 {
		w.t.Fatalf("%d %s", got.Status, got.Body)
	}
	return got
}

// asks reports whether the request leads to the consent page, rather than to a code at once.
func (w *world) asks(alice *authn.Identity, query string) bool {
	w.t.Helper()
	rec := w.authorize(alice, "GET", query, "")
	_, text, _ := strings.Cut(rec.Header().Get("Location"), "?")
	v, _ := url.ParseQuery(text)
	switch {
	case rec.Code == 200 && handleField.MatchString(rec.Body.String()):
		return true
	case rec.Code == 303 && v.Get("code") != "" && v.Get("iss") == issuer:
		return false
	}
	w.t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	return false
}

func TestRememberedConsent(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, remembering)
		must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		alice := w.alice("s1")
		bob := &authn.Identity{Subject: "id-bob", Credential: login{"s2", 0}}
		none := func(query string) string {
			return sent(t, w.authorize(alice, "GET", query, ""), redirect).Get("error")
		}
		if e := none(query("app", "prompt", "none")); e != "consent_required" {
			t.Errorf("before the first time: %q", e)
		}
		first := w.allows(alice, "app", query("app", "scope", "read", "resource", "https://api.example"))
		same := query("app", "scope", "read", "resource", "https://api.example")
		for what, q := range map[string]string{"the same": same, "fewer scopes": query("app", "resource", "https://api.example"), "silently": query("app", "prompt", "none", "resource", "https://api.example")} {
			if w.asks(alice, q) {
				t.Errorf("%s: is asked again", what)
			}
		}
		v := sent(t, w.authorize(alice, "GET", same, ""), redirect)
		if got := w.exchange("app", v.Get("code")); got.Status != 200 || got.Scope != "read" {
			t.Errorf("%+v", got)
		}
		// R73: what is added is asked for.
		for what, q := range map[string]string{
			"a scope": query("app", "scope", "read write", "resource", "https://api.example"), "another scope": query("app", "scope", "write", "resource", "https://api.example"),
			"another resource": query("app", "scope", "read", "resource", "https://files.example"), "all resources": query("app", "scope", "read"),
			"prompt": query("app", "prompt", "consent", "resource", "https://api.example"),
		} {
			if !w.asks(alice, q) {
				t.Errorf("%s: is not asked", what)
			}
		}
		if e := none(query("app", "scope", "write", "prompt", "none", "resource", "https://api.example")); e != "consent_required" {
			t.Errorf("an added scope, silently: %q", e)
		}
		if !w.asks(bob, same) || !w.asks(alice, query("other", "scope", "read")) {
			t.Error("another's consent counts")
		}
		// A login that is asked for together with consent leaves the consent to ask for.
		to := w.authorize(alice, "GET", query("app", "prompt", "login consent", "resource", "https://api.example"), "").Header().Get("Location")
		next, err := url.QueryUnescape(to)
		_, next, ok := strings.Cut(next, "/oauth2/authorize?")
		if err != nil || !ok || !w.asks(alice, next) {
			t.Errorf("after %s no consent is asked for", to)
		}
		w.allows(alice, "app", query("app", "scope", "read write"))
		if w.asks(alice, query("app", "scope", "write")) || w.asks(alice, same) {
			t.Error("a wider answer does not replace the narrower one")
		}
		// Who takes a grant back is asked again.
		for _, g := range w.grantsOf(alice) {
			w.revokesGrant(alice, g.ID)
		}
		if !w.asks(alice, same) || w.status(first.Access) != 401 {
			t.Error("is not asked after a revocation")
		}
		w.allows(alice, "app", same)
		w.allows(alice, "app", query("app", "prompt", "consent", "scope", "read", "resource", "https://api.example"))
		w.revokesGrant(alice, w.grantsOf(alice)[0].ID) // one of two
		if !w.asks(alice, same) {
			t.Error("is not asked after the revocation of one grant")
		}
		// When the client gave back the last grant too.
		w.revokesGrant(alice, w.grantsOf(alice)[0].ID)
		last := w.allows(alice, "app", same)
		w.exchange("spa", w.code("spa", nil)) // another client's stays
		if w.asks(alice, same) {
			t.Fatal("is asked again")
		}
		if got := w.post(w.Revoke(), "app", "token", last.Refresh); got.Status != 200 || !w.asks(alice, same) {
			t.Error("is not asked after the client gave the grant back")
		}
		w.allows(alice, "app", same)
		w.pass(24*time.Hour - time.Microsecond)
		if w.asks(w.alice("s1"), same) {
			t.Error("is asked before its end")
		}
		w.pass(time.Microsecond)
		if !w.asks(w.alice("s1"), same) {
			t.Error("is not asked after its end")
		}
		alice = w.alice("s1")
		w.allows(alice, "app", same)
		_, err = w.s.BumpEpoch(t.Context(), "id-alice")
		must(t, err)
		w.exchange("app", w.code("app", nil)) // a grant that lives
		if !w.asks(w.alice("s1"), same) {
			t.Error("is not asked after log-out-everywhere")
		}
		w.allows(w.alice("s1"), "app", same)
		c, err := w.s.ClientByID(t.Context(), "app")
		must(t, err)
		must(t, w.s.DeleteClient(t.Context(), "app"))
		must(t, w.s.CreateClient(t.Context(), c))
		if !w.asks(w.alice("s1"), same) {
			t.Error("is not asked after the client was deleted")
		}
	})
}

// revokesGrant ends a grant as its user.
func (w *world) revokesGrant(alice *authn.Identity, id string) {
	w.t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/grants/{id}", w.RevokeGrant())
	if rec := w.behind(mux, alice, "DELETE", "/grants/"+id, ""); rec.Code != 204 {
		w.t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// Consent is remembered where it is wanted, and never for clients that anybody on the
// machine could be (RULES B5).
func TestWhoseConsentIsRemembered(t *testing.T) {
	w := newWorld(t, memory.New(nil), remembering)
	alice := w.alice("s1")
	for i, c := range []struct {
		method, redirect string
		native           bool
		remembered       bool
	}{
		{oauth2.None, "https://spa.example/cb", false, true},
		{oauth2.None, "http://127.0.0.1/cb", true, false},
		{oauth2.None, "http://127.0.0.1:8000/cb", false, false},
		{oauth2.None, "http://[::1]/cb", true, false},
		{oauth2.None, "http://localhost:3000/cb", false, false},
		{oauth2.None, "https://localhost/cb", false, false},
		{oauth2.None, "https://127.0.0.1/cb", false, false},
		{oauth2.None, "com.example.app:/cb", true, false},
		{oauth2.SecretPost, "http://127.0.0.1/cb", false, true},
		{oauth2.SecretPost, "https://web.example/cb", false, true},
	} {
		client := storage.Client{ID: fmt.Sprint("client", i), Method: c.method, Native: c.native, RedirectURIs: []string{c.redirect}, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"read"}}
		var secret []string
		if !client.Public() {
			text, digest, err := oauth2.NewSecret()
			must(t, err)
			client.Secret, secret = digest, []string{"client_secret", text}
		}
		must(t, oauth2.CheckClient(client))
		must(t, w.s.CreateClient(t.Context(), client))
		q := query(client.ID, "redirect_uri", c.redirect, "scope", "read")
		handle := handleOf(t, w.authorize(alice, "GET", q, ""))
		rec := w.authorize(alice, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow")
		_, text, _ := strings.Cut(rec.Header().Get("Location"), "?")
		v, err := url.ParseQuery(text)
		must(t, err)
		pairs := append(secret, "grant_type", "authorization_code", "client_id", client.ID, "code", v.Get("code"), "redirect_uri", c.redirect, "code_verifier", verifier)
		if got := w.post(w.Token(), "none", pairs...); got.Status != 200 {
			t.Fatalf("%s: %d %s", c.redirect, got.Status, got.Body)
		}
		// Nor does it count where it was kept before the client became one of those.
		must(t, w.s.PutConsent(t.Context(), storage.Consent{Subject: "id-alice", Client: client.ID, Scopes: []string{"read"}, Created: w.clock(), Expires: w.clock().Add(time.Hour)}))
		if asks := w.asks(alice, q); asks == c.remembered {
			t.Errorf("%s %s: asks again: %t", c.method, c.redirect, asks)
		}
	}
	off := newWorld(t, memory.New(nil), withSessions)
	off.allows(off.alice("s1"), "app", query("app"))
	if !off.asks(off.alice("s1"), query("app")) {
		t.Error("consent is remembered by default")
	}
	if _, err := off.s.ConsentOf(t.Context(), "id-alice", "app"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("and kept: %v", err)
	}
	if _, err := oauth2.New(issuer, memory.New(nil), &oauth2.Options{RememberConsent: -1}); err == nil {
		t.Error("a time below 0 was taken")
	}
}

// The page ends all grants of a client.
func TestGrantsPageEndsAll(t *testing.T) {
	w := newWorld(t, memory.New(nil), remembering)
	alice := w.alice("s1")
	one := w.allows(alice, "app", query("app", "scope", "read"))
	two := w.allows(alice, "app", query("app", "scope", "write"))
	other := w.exchange("spa", w.code("spa", nil))
	body := w.behind(w.GrantsPage("/login"), alice, "GET", "/a", "").Body.String()
	if strings.Count(body, "<form") != 2 || !strings.Contains(body, "<li>Read</li>") || !strings.Contains(body, "<li>Write</li>") {
		t.Fatal(body)
	}
	i := slices.IndexFunc(w.grantsOf(alice), func(g grantItem) bool { return g.Client == "app" })
	if rec := w.behind(w.GrantsPage("/login"), alice, "POST", "/a", "grant="+w.grantsOf(alice)[i].ID); rec.Code != 303 || w.status(one.Access) != 401 || w.status(two.Access) != 401 || w.status(other.Access) != 200 {
		t.Errorf("%d", rec.Code)
	}
	if !w.asks(alice, query("app", "scope", "write")) {
		t.Error("the consent is left")
	}
}

func TestConsentsDown(t *testing.T) {
	w := newWorld(t, memory.New(nil), remembering)
	alice := w.alice("s1")
	w.allows(alice, "app", query("app"))
	handle := handleOf(t, w.authorize(alice, "GET", query("app", "prompt", "consent"), ""))
	w.s.noConsents.Store(true)
	for what, rec := range map[string]*httptest.ResponseRecorder{
		"asked": w.authorize(alice, "GET", query("app"), ""), "answered": w.authorize(alice, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow"),
		"withdrawn": w.behind(w.GrantsPage("/login"), alice, "POST", "/a", "grant="+w.grantsOf(alice)[0].ID),
	} {
		if rec.Code != 503 || rec.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v", what, rec.Code, rec.Header())
		}
	}
	if len(w.grantsOf(alice)) != 1 {
		t.Error("the grant ended, and the consent is left")
	}
}
