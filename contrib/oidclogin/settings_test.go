package oidclogin_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/contrib/oidclogin"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// The programs of the guide start, and decide as the guide says.
func TestGuide(t *testing.T) {
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), nil)
	must(t, err)
	defer db.Close()
	must(t, db.Migrate(t.Context()))
	site, err := csrf.New(origin, nil)
	must(t, err)
	browsers, err := session.New(db, site, nil)
	must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	accounts, err := newAccounts(db)
	must(t, err)
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, nil))
	must(t, addProviders(mux, db, site, browsers, accounts, ring, map[string]string{"company": "a", "google": "b"}))
	u, err := accounts.AccountOf(t.Context(), company, "7", claims{"preferred_username": "ann@app.example"}.decode)
	if err != nil || u.Name != "ann@app.example" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := accounts.AccountOf(t.Context(), "https://accounts.google.com", "7", nil); err == nil {
		t.Error("another provider creates accounts")
	}
	must(t, db.CreateUser(t.Context(), storage.User{ID: "2", Name: "bob@app.example", Active: true}))
	trusting, err := newTrustingAccounts(db)
	must(t, err)
	c := claims{"email": "bob@app.example", "email_verified": true}
	if u, err := trusting.AccountOf(t.Context(), company, "8", c.decode); err != nil || u.ID != "2" {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := trusting.AccountOf(t.Context(), "https://accounts.google.com", "8", c.decode); err == nil {
		t.Errorf("attack_unverified_email: %+v", u)
	}
	w := httptest.NewRecorder()
	showLogin(w, httptest.NewRequest("GET", `/login?next="><script>`, nil))
	if body := w.Body.String(); !strings.Contains(body, "/login/with/company") || strings.Contains(body, "<script>") {
		t.Error(body)
	}
}

// The limit holds from the start, and wrong settings do not start.
func TestSettings(t *testing.T) {
	db := memory.New(nil)
	site, err := csrf.New(origin, nil)
	must(t, err)
	sessions, err := session.New(db, site, nil)
	must(t, err)
	accounts, err := link.New(db, nil)
	must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	one := oidclogin.Provider{Name: "one", Issuer: "https://login.example", ClientID: "app"}
	good := oidclogin.Config{Origin: origin, Site: site, Sessions: sessions, Accounts: accounts, Replays: db, Keys: ring, Providers: []oidclogin.Provider{one}}
	start := func(change func(c *oidclogin.Config, o *oidclogin.Options, p *oidclogin.Provider)) (*oidclogin.Login, error) {
		c, o, p := good, oidclogin.Options{Logger: quiet}, one
		change(&c, &o, &p)
		if len(c.Providers) > 0 {
			c.Providers = append([]oidclogin.Provider{p}, c.Providers[1:]...)
		}
		return oidclogin.New(c, &o)
	}
	for name, change := range map[string]func(c *oidclogin.Config, o *oidclogin.Options, p *oidclogin.Provider){
		"no providers": func(c *oidclogin.Config, _ *oidclogin.Options, _ *oidclogin.Provider) { c.Providers = nil },
		"no keys":      func(c *oidclogin.Config, _ *oidclogin.Options, _ *oidclogin.Provider) { c.Keys = nil },
		"another origin": func(c *oidclogin.Config, _ *oidclogin.Options, _ *oidclogin.Provider) {
			c.Origin = "https://evil.example"
		},
		"origin and path": func(c *oidclogin.Config, _ *oidclogin.Options, _ *oidclogin.Provider) { c.Origin += "/" },
		"http issuer": func(_ *oidclogin.Config, _ *oidclogin.Options, p *oidclogin.Provider) {
			p.Issuer = "http://login.example"
		},
		"name":      func(_ *oidclogin.Config, _ *oidclogin.Options, p *oidclogin.Provider) { p.Name = "a/b" },
		"no client": func(_ *oidclogin.Config, _ *oidclogin.Options, p *oidclogin.Provider) { p.ClientID = "" },
		"acr":       func(_ *oidclogin.Config, _ *oidclogin.Options, p *oidclogin.Provider) { p.ACR = map[string]string{} },
		"same issuer": func(c *oidclogin.Config, _ *oidclogin.Options, _ *oidclogin.Provider) {
			c.Providers = []oidclogin.Provider{one, {Name: "two", Issuer: one.Issuer, ClientID: "app"}}
		},
		"same name": func(c *oidclogin.Config, _ *oidclogin.Options, _ *oidclogin.Provider) {
			c.Providers = []oidclogin.Provider{one, {Name: "one", Issuer: "https://other.example", ClientID: "app"}}
		},
		"path": func(_ *oidclogin.Config, o *oidclogin.Options, _ *oidclogin.Provider) { o.Path = "//evil.example" },
		"next": func(_ *oidclogin.Config, o *oidclogin.Options, _ *oidclogin.Provider) {
			o.Next = "https://evil.example"
		},
		"fresh": func(_ *oidclogin.Config, o *oidclogin.Options, _ *oidclogin.Provider) { o.Fresh = -time.Second },
	} {
		if _, err := start(change); err == nil {
			t.Error(name)
		}
	}
	l, err := start(func(*oidclogin.Config, *oidclogin.Options, *oidclogin.Provider) {})
	must(t, err)
	mux := authz.NewMux(authn.New(authn.Chain{sessions}, &authn.Options{Logger: quiet}))
	l.Routes(mux)
	limited := 0
	for range 40 {
		w := httptest.NewRecorder()
		if mux.ServeHTTP(w, httptest.NewRequest("GET", origin+"/login/with/one/callback?state=x&code=x", nil)); w.Code == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 || limited == 40 {
		t.Errorf("%d of 40 requests were limited", limited)
	}
}
