package conformance

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/registration"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

const (
	userName     = "alice"
	userPassword = "wonderland-42"
	// pause is the time between two modules, so that the limits of logins and requests, which stay
	// on, allow the next one.
	pause = 30 * time.Minute
)

// fixture is an authorization server over TLS and SQLite, set up as an application would, with the
// clients of a plan.
type fixture struct {
	issuer  string
	initial string // the initial access token for registration
	signing signer
	http    *http.Client // without redirects and cookies
	clients []*client
	now     atomic.Int64                 // seconds
	broken  atomic.Pointer[http.Handler] // the broken server; nil for the true one
	server  http.Handler                 // the true server
}

// clock returns the time of the fixture. Only advance moves it.
func (f *fixture) clock() time.Time { return time.Unix(f.now.Load(), 0) }

func (f *fixture) advance(d time.Duration) { f.now.Add(int64(d / time.Second)) }

// profile is a kind of fixture.
type profile struct {
	signing signer
	fapi    bool
	clients []*client
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newFixture(t testing.TB, p profile) *fixture {
	t.Helper()
	f := &fixture{signing: p.signing, clients: p.clients}
	f.now.Store(time.Now().Unix())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := f.server
		if broken := f.broken.Load(); broken != nil {
			h = *broken
		}
		h.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // TLS handshakes that a module makes fail
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	f.issuer = s.URL
	f.http = s.Client()
	f.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	db := must[*gormstore.Store](t)(sqlite.Open(":memory:", &gormstore.Options{Clock: f.clock}))
	t.Cleanup(func() { check(t, db.Close()) })
	check(t, db.Migrate(t.Context()))
	ring := must[*keys.Ring](t)(keys.NewRing(keys.Generate()))
	passwords := must[*password.Checker](t)(password.New(db, passwordtest.New(t, nil), &password.Options{Clock: f.clock}))
	_, err := passwords.Register(t.Context(), password.NewUser{Name: userName, Password: userPassword})
	check(t, err)
	for _, c := range p.clients {
		record := c.record(f)
		check(t, oauth2.CheckClient(record))
		check(t, db.CreateClient(t.Context(), record))
	}
	f.server = f.handler(t, p, db, ring, passwords)
	return f
}

// passwordClass is the authentication context class of logins with a password.
const passwordClass = "password"

// classified tells the class of a login.
type classified struct{ *password.Checker }

func (c classified) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	l, err := c.Checker.CheckPassword(r, name, password)
	l.ACR = passwordClass
	return l, err
}

// handler returns the server with its pages and an API.
func (f *fixture) handler(t testing.TB, p profile, db *gormstore.Store, ring *keys.Ring, passwords *password.Checker) http.Handler {
	t.Helper()
	site := must[*csrf.Site](t)(csrf.New(f.issuer, nil))
	browsers := must[*session.Scheme](t)(session.New(db, site, &session.Options{Clock: f.clock}))
	key := must[*jose.Key](t)(jose.NewPrivate(p.signing.id, jose.Algorithm(p.signing.alg), p.signing.key))
	apiOptions := &oauth2.Options{Audience: f.issuer, Clock: f.clock}
	options := &server.Options{
		Keys: ring, SigningKeys: must[*jose.KeySet](t)(jose.NewKeySet(key)), Logger: slog.New(slog.DiscardHandler),
		Scopes: map[string]string{"profile": "", "email": "", "address": "", "phone": ""}, ACRValues: []string{passwordClass, "strong"},
	}
	if p.fapi {
		apiOptions.DPoP = must[*dpop.Verifier](t)(dpop.New(f.issuer, db, &dpop.Options{Clock: f.clock}))
		options.FAPI2 = true
	} else {
		options.InsecureOptionalPKCE = true // the plans of OpenID Connect send no challenge
	}
	api := must[*oauth2.Scheme](t)(oauth2.New(f.issuer, db, apiOptions))
	srv := must[*server.Server](t)(server.New(api, db, options))
	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	must[*openid.Provider](t)(openid.New(srv, &openid.Options{Claims: claimsOf, Sessions: sessions, EndSession: browsers.EndCurrent}))
	must[*consent.Pages](t)(consent.New(srv, sessions, "/login", nil))
	if !p.fapi {
		text, digest, err := registration.NewInitialAccessToken()
		check(t, err)
		f.initial = text
		must[*registration.Registration](t)(registration.New(srv, registration.InitialAccessToken(digest), &registration.Options{Scopes: []string{"openid"}}))
	}

	mux := authz.NewMux(authn.New(authn.Chain{browsers, api}, &authn.Options{Clock: f.clock, Logger: slog.New(slog.DiscardHandler)})).RequireScopes()
	mux.Public("/login", browsers.LoginForm(classified{passwords}, nil))
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
	mux.HandleFunc("GET "+resourcePath, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
		authz.IsAuthenticated, authz.HasScope("profile"))
	return mux
}

// resourcePath is the path of an API that takes access tokens.
const resourcePath = "/api/account"

// claimsOf returns all standard claims of OpenID Connect Core, section 5.4.
func claimsOf(_ context.Context, u storage.User, scopes []string) (map[string]any, error) {
	all := map[string]map[string]any{
		"profile": {
			"name": "Alice Liddell", "given_name": "Alice", "family_name": "Liddell", "middle_name": "P.", "nickname": "Al", "preferred_username": u.Name,
			"profile": "https://people.example/alice", "picture": "https://people.example/alice.png", "website": "https://alice.example", "gender": "female",
			"birthdate": "1852-05-04", "zoneinfo": "Europe/London", "locale": "en-GB", "updated_at": 1700000000,
		},
		"email":   {"email": "alice@people.example", "email_verified": true},
		"address": {"address": map[string]any{"street_address": "1 Tom Quad", "locality": "Oxford", "country": "GB"}},
		"phone":   {"phone_number": "+44 1865 000000", "phone_number_verified": false},
	}
	got := map[string]any{}
	for _, scope := range scopes {
		for name, value := range all[scope] {
			got[name] = value
		}
	}
	return got, nil
}
