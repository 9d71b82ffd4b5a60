package consent_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func remembering(o *oauthtest.Options) {
	oauthtest.WithSessions(o)
	o.RememberConsent = 24 * time.Hour
}

func TestRememberedConsent(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, remembering)
		oauthtest.Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		alice := w.Alice("s1")
		bob := &authn.Identity{Subject: "id-bob", Credential: oauthtest.Login{Session: "s2"}}
		none := func(query string) string {
			return oauthtest.Sent(t, w.Authorizes(alice, "GET", query, ""), oauthtest.Redirect).Get("error")
		}
		if e := none(oauthtest.Query("app", "prompt", "none")); e != "consent_required" {
			t.Errorf("before the first time: %q", e)
		}
		first := w.Allows(alice, "app", oauthtest.Query("app", "scope", "read", "resource", "https://api.example"))
		same := oauthtest.Query("app", "scope", "read", "resource", "https://api.example")
		w.Take()
		w.Asks(alice, same)
		if got := w.Events(); len(got) != 1 || got[0].Kind != "consent.given" || got[0].Reason != "remembered" || got[0].Client != "app" || got[0].Subject != "id-alice" {
			t.Errorf("events %+v", got)
		}
		for what, q := range map[string]string{"the same": same, "fewer scopes": oauthtest.Query("app", "resource", "https://api.example"), "the server's audience, not named": oauthtest.Query("app", "scope", "read"), "silently": oauthtest.Query("app", "prompt", "none", "resource", "https://api.example")} {
			if w.Asks(alice, q) {
				t.Errorf("%s: is asked again", what)
			}
		}
		v := oauthtest.Sent(t, w.Authorizes(alice, "GET", same, ""), oauthtest.Redirect)
		if got := w.Exchange("app", v.Get("code")); got.Status != 200 || got.Scope != "read" {
			t.Errorf("%+v", got)
		}
		// R73: what is added is asked for.
		for what, q := range map[string]string{
			"a scope": oauthtest.Query("app", "scope", "read write", "resource", "https://api.example"), "another scope": oauthtest.Query("app", "scope", "write", "resource", "https://api.example"),
			"another resource": oauthtest.Query("app", "scope", "read", "resource", "https://files.example"),
			"prompt":           oauthtest.Query("app", "prompt", "consent", "resource", "https://api.example"),
		} {
			if !w.Asks(alice, q) {
				t.Errorf("%s: is not asked", what)
			}
		}
		if e := none(oauthtest.Query("app", "scope", "write", "prompt", "none", "resource", "https://api.example")); e != "consent_required" {
			t.Errorf("an added scope, silently: %q", e)
		}
		if !w.Asks(bob, same) || !w.Asks(alice, oauthtest.Query("other", "scope", "read")) {
			t.Error("another's consent counts")
		}
		// A login that is asked for together with consent leaves the consent to ask for.
		to := w.Authorizes(alice, "GET", oauthtest.Query("app", "prompt", "login consent", "resource", "https://api.example"), "").Header().Get("Location")
		next, err := url.QueryUnescape(to)
		_, next, ok := strings.Cut(next, "/oauth2/authorize?")
		if err != nil || !ok || !w.Asks(alice, next) {
			t.Errorf("after %s no consent is asked for", to)
		}
		w.Allows(alice, "app", oauthtest.Query("app", "scope", "read write"))
		if w.Asks(alice, oauthtest.Query("app", "scope", "write")) || w.Asks(alice, same) {
			t.Error("a wider answer does not replace the narrower one")
		}
		// Who takes a grant back is asked again.
		for _, g := range w.GrantsOf(alice) {
			w.RevokesGrant(alice, g.ID)
		}
		if !w.Asks(alice, same) || w.Status(first.Access) != 401 {
			t.Error("is not asked after a revocation")
		}
		w.Allows(alice, "app", same)
		w.Allows(alice, "app", oauthtest.Query("app", "prompt", "consent", "scope", "read", "resource", "https://api.example"))
		w.RevokesGrant(alice, w.GrantsOf(alice)[0].ID) // one of two
		if !w.Asks(alice, same) {
			t.Error("is not asked after the revocation of one grant")
		}
		// When the client gave back the last grant too.
		w.RevokesGrant(alice, w.GrantsOf(alice)[0].ID)
		last := w.Allows(alice, "app", same)
		w.Exchange("spa", w.Code("spa", nil)) // another client's stays
		if w.Asks(alice, same) {
			t.Fatal("is asked again")
		}
		if got := w.Post(w.Revoke(), "app", "token", last.Refresh); got.Status != 200 || !w.Asks(alice, same) {
			t.Error("is not asked after the client gave the grant back")
		}
		w.Allows(alice, "app", same)
		w.Pass(24*time.Hour - time.Microsecond)
		if w.Asks(w.Alice("s1"), same) {
			t.Error("is asked before its end")
		}
		w.Pass(time.Microsecond)
		if !w.Asks(w.Alice("s1"), same) {
			t.Error("is not asked after its end")
		}
		alice = w.Alice("s1")
		w.Allows(alice, "app", same)
		_, err = w.DB.BumpEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		w.Exchange("app", w.Code("app", nil)) // a grant that lives
		if !w.Asks(w.Alice("s1"), same) {
			t.Error("is not asked after log-out-everywhere")
		}
		w.Allows(w.Alice("s1"), "app", same)
		c, err := w.DB.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		oauthtest.Must(t, w.DB.DeleteClient(t.Context(), "app"))
		oauthtest.Must(t, w.DB.CreateClient(t.Context(), c))
		if !w.Asks(w.Alice("s1"), same) {
			t.Error("is not asked after the client was deleted")
		}
	})
}

// Consent is remembered where it is wanted, and never for clients that anybody on the
// machine could be.
func TestWhoseConsentIsRemembered(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), remembering)
	alice := w.Alice("s1")
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
			oauthtest.Must(t, err)
			client.Secret, secret = digest, []string{"client_secret", text}
		}
		oauthtest.Must(t, oauth2.CheckClient(client))
		oauthtest.Must(t, w.DB.CreateClient(t.Context(), client))
		q := oauthtest.Query(client.ID, "redirect_uri", c.redirect, "scope", "read")
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", q, ""))
		rec := w.Authorizes(alice, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow")
		_, text, _ := strings.Cut(rec.Header().Get("Location"), "?")
		v, err := url.ParseQuery(text)
		oauthtest.Must(t, err)
		pairs := append(secret, "grant_type", "authorization_code", "client_id", client.ID, "code", v.Get("code"), "redirect_uri", c.redirect, "code_verifier", oauthtest.Verifier)
		if got := w.Post(w.Token(), "none", pairs...); got.Status != 200 {
			t.Fatalf("%s: %d %s", c.redirect, got.Status, got.Body)
		}
		// Nor does it count where it was kept before the client became one of those.
		oauthtest.Must(t, w.DB.PutConsent(t.Context(), storage.Consent{Subject: "id-alice", Client: client.ID, Scopes: []string{"read"}, Resource: []string{"https://api.example"}, Created: w.Clock(), Expires: w.Clock().Add(time.Hour)}))
		if asks := w.Asks(alice, q); asks == c.remembered {
			t.Errorf("%s %s: asks again: %t", c.method, c.redirect, asks)
		}
	}
	off := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	off.Allows(off.Alice("s1"), "app", oauthtest.Query("app"))
	if !off.Asks(off.Alice("s1"), oauthtest.Query("app")) {
		t.Error("consent is remembered by default")
	}
	if _, err := off.DB.ConsentOf(t.Context(), "id-alice", "app"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("and kept: %v", err)
	}
	if _, err := oauthtest.New(oauthtest.Issuer, memory.New(nil), &oauthtest.Options{RememberConsent: -1}); err == nil {
		t.Error("a time below 0 was taken")
	}
}

// The page ends all grants of a client.
func TestGrantsPageEndsAll(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), remembering)
	alice := w.Alice("s1")
	one := w.Allows(alice, "app", oauthtest.Query("app", "scope", "read"))
	two := w.Allows(alice, "app", oauthtest.Query("app", "scope", "write"))
	other := w.Exchange("spa", w.Code("spa", nil))
	body := w.Behind(w.GrantsPage("/login"), alice, "GET", "/a", "").Body.String()
	if strings.Count(body, "<form") != 2 || !strings.Contains(body, "<li>Read</li>") || !strings.Contains(body, "<li>Write</li>") {
		t.Fatal(body)
	}
	i := slices.IndexFunc(w.GrantsOf(alice), func(g oauthtest.GrantItem) bool { return g.Client == "app" })
	if rec := w.Behind(w.GrantsPage("/login"), alice, "POST", "/a", "grant="+w.GrantsOf(alice)[i].ID); rec.Code != 303 || w.Status(one.Access) != 401 || w.Status(two.Access) != 401 || w.Status(other.Access) != 200 {
		t.Errorf("%d", rec.Code)
	}
	if !w.Asks(alice, oauthtest.Query("app", "scope", "write")) {
		t.Error("the consent is left")
	}
}

func TestConsentsDown(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), remembering)
	alice := w.Alice("s1")
	w.Allows(alice, "app", oauthtest.Query("app"))
	handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app", "prompt", "consent"), ""))
	w.DB.NoConsents.Store(true)
	for what, rec := range map[string]*httptest.ResponseRecorder{
		"asked": w.Authorizes(alice, "GET", oauthtest.Query("app"), ""), "answered": w.Authorizes(alice, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow"),
		"withdrawn": w.Behind(w.GrantsPage("/login"), alice, "POST", "/a", "grant="+w.GrantsOf(alice)[0].ID),
	} {
		if rec.Code != 503 || rec.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v", what, rec.Code, rec.Header())
		}
	}
	if len(w.GrantsOf(alice)) != 1 {
		t.Error("the grant ended, and the consent is left")
	}
}
