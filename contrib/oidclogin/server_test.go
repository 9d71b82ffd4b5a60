package oidclogin_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/contrib/oidclogin"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const clientSecret = "a-generated-secret-of-the-application-0123456789"

// newServer starts the authorization server of this library with the account alice and a client.
func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	var h http.Handler
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	db := memory.New(nil)
	site, err := csrf.New(s.URL, nil)
	must(t, err)
	hasher, err := password.NewHasher(nil)
	must(t, err)
	passwords, err := password.New(db, hasher, nil)
	must(t, err)
	_, err = passwords.Register(t.Context(), password.NewUser{Name: "alice", Password: "wonderland-42"})
	must(t, err)
	must(t, db.CreateClient(t.Context(), storage.Client{
		ID: "app", Name: "Application", Method: oauth2.SecretBasic, Secret: storage.DigestOf(clientSecret), Trusted: true, Created: time.Now(),
		Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{origin + "/login/with/own/callback"}, LogoutURIs: []string{origin + "/home"},
		Scopes: []string{"openid", "profile", "email"}, Default: []string{"profile"},
	}))
	browsers, err := session.New(db, site, nil)
	must(t, err)
	api, err := oauth2.New(s.URL, db, &oauth2.Options{Audience: s.URL})
	must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	k, err := jose.Generate(jose.ES256)
	must(t, err)
	signing, err := jose.NewKeySet(k)
	must(t, err)
	srv, err := server.New(api, db, &server.Options{Keys: ring, SigningKeys: signing, Scopes: map[string]string{"profile": "See your name", "email": "See your address"}})
	must(t, err)
	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	_, err = openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent, IDTokenClaims: []string{"preferred_username", "email"}})
	must(t, err)
	_, err = consent.New(srv, sessions, "/login", nil)
	must(t, err)
	mux := authz.NewMux(authn.New(authn.Chain{browsers, api}, nil)).RequireScopes()
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	for _, r := range srv.Routes() {
		switch r.Access {
		case server.ForClients:
			mux.Public(r.Pattern, r.Handler)
		case server.ForVisitors:
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		case server.ForAccounts:
			mux.Handle(r.Pattern, r.Handler, authz.FirstParty)
		}
	}
	h = mux
	return s
}

// A user logs in at the authorization server of this library, and out again.
func TestOwnServer(t *testing.T) {
	s := newServer(t)
	a := newApp(t, client(s), oidclogin.Provider{Name: "own", Issuer: s.URL, ClientID: "app", ClientSecret: clientSecret, LoginClaims: true})
	jar, err := cookiejar.New(nil)
	must(t, err)
	visitor := *s.Client()
	visitor.Jar = jar
	visitor.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), s.URL+"/") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	at := func(r *http.Request) *http.Response {
		t.Helper()
		resp, err := visitor.Do(r)
		must(t, err)
		must(t, resp.Body.Close())
		return resp
	}
	b := a.browser()
	address := b.begin("/login/with/own", "next", "/notes").String()
	first, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	must(t, err)
	page := at(first) // the login page
	form := url.Values{"username": {"alice"}, "password": {"wonderland-42"}, "next": {page.Request.URL.Query().Get("next")}}
	second, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/login", strings.NewReader(form.Encode()))
	must(t, err)
	second.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	second.Header.Set("Origin", s.URL)
	second.Header.Set("Sec-Fetch-Site", "same-origin")
	back := at(second).Header.Get("Location")
	w := b.get(back)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/notes" {
		t.Fatalf("%s: %d %s", back, w.Code, w.Body)
	}
	u, err := a.db.UserByName(t.Context(), "alice")
	if err != nil || b.user() != u.ID || time.Since(b.identity().AuthTime) > time.Minute {
		t.Errorf("%+v, %v, %+v", u, err, b.identity())
	}
	if w := b.get(back); w.Code != http.StatusBadRequest {
		t.Errorf("attack_replayed_callback: %d", w.Code)
	}
	out := b.post("/login/with/logout")
	if to := out.Header().Get("Location"); out.Code != http.StatusSeeOther || !strings.HasPrefix(to, s.URL+"/") || b.user() != "" {
		t.Errorf("%d %q", out.Code, to)
	}
	third, err := http.NewRequestWithContext(t.Context(), "GET", out.Header().Get("Location"), nil)
	must(t, err)
	if resp := at(third); resp.StatusCode != http.StatusOK { // asks, because nothing shows that the user wants it
		t.Errorf("the logout page of the provider: %d", resp.StatusCode)
	}
}
