package storetest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/remoteuser"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// The account 7 of a store without a space.
const (
	sevens       = "7"
	sevensSecret = "wonderland-and-42"
)

// withSeven adds the account 7 and the client of newApplication.
func withSeven(t *testing.T, s storagetest.Store) storagetest.Store {
	t.Helper()
	hash, err := passwordtest.New(t, nil).Hash(t.Context(), "", sevensSecret)
	must(t, err)
	must(t, s.CreateUser(t.Context(), storage.User{ID: sevens, Name: "ann", Password: hash, Active: true}))
	must(t, s.CreateClient(t.Context(), storage.Client{
		ID: "spa", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}, RedirectURIs: []string{"https://spa.example/"},
	}))
	return s
}

// caller is a scheme of a chain, and how a request shows that it is from the account 7.
type caller struct {
	by    authn.Authenticator
	shows func(*http.Request)
}

// callers are those of every scheme over s. No scheme of newApplication takes their credentials for
// its own.
func callers(t *testing.T, s storagetest.Store, k sharedKeys) map[string]caller {
	t.Helper()
	origin, err := csrf.New("https://app.example", nil)
	must(t, err)
	carries := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	brings := func(start func(http.ResponseWriter, *http.Request, authn.Login) error) func(*http.Request) {
		rec := httptest.NewRecorder()
		must(t, start(rec, httptest.NewRequest("POST", "https://app.example/", nil), authn.Login{Subject: sevens}))
		return func(r *http.Request) {
			for _, c := range rec.Result().Cookies() {
				r.AddCookie(c)
			}
		}
	}
	devices, err := knox.New(s, &knox.Options{Prefix: "vkother"})
	must(t, err)
	device, _, err := devices.Issue(t.Context(), sevens, 0, knox.Token{})
	must(t, err)
	statics, err := token.New(s, k.ring, &token.Options{Prefix: "vsother"})
	must(t, err)
	static, err := statics.GetOrCreate(t.Context(), sevens, 0)
	must(t, err)
	jwts, err := jwt.New("https://other.example", "https://api.other.example", k.signing, s, nil)
	must(t, err)
	stateless, err := jwt.New("https://claims.example", "https://api.claims.example", k.signing, s, &jwt.Options{Stateless: true})
	must(t, err)
	pair, err := jwts.Issue(t.Context(), sevens, 0, nil)
	must(t, err)
	claims, err := stateless.Issue(t.Context(), sevens, 0, nil)
	must(t, err)
	browsers, err := session.New(s, origin, &session.Options{Cookie: "other"})
	must(t, err)
	sealed, err := session.NewSealed(k.ring, origin, &session.SealedOptions{Options: session.Options{Cookie: "othersealed"}, Users: s})
	must(t, err)
	passwords, err := password.New(s, passwordtest.New(t, nil), nil)
	must(t, err)
	basics, err := basic.New(passwords, nil)
	must(t, err)
	proxies, err := authn.NewTrustedProxies("192.0.2.1")
	must(t, err)
	remote, err := remoteuser.New("X-Remote-User", proxies, s, origin, nil)
	must(t, err)
	return map[string]caller{
		"knox": {devices, carries("Knox " + device)}, "token": {statics, carries("Token " + static)},
		"jwt": {jwts, carries("Bearer " + pair.Access)}, "stateless jwt": {stateless, carries("Bearer " + claims.Access)},
		"session": {browsers, brings(browsers.Start)}, "sealed": {sealed, brings(sealed.Start)},
		"basic":      {basics, func(r *http.Request) { r.SetBasicAuth("ann", sevensSecret) }},
		"remoteuser": {remote, func(r *http.Request) { r.Header.Set("X-Remote-User", "ann") }},
	}
}

// managed is a list of an account's records and the endpoints that revoke them.
type managed struct {
	list, revoke, others http.Handler // others may be nil
	add                  func()       // a record of the account 7
}

func managedBy(t *testing.T, a *space) map[string]managed {
	t.Helper()
	pages, err := consent.New(a.oauth2, server.Sessions{Of: a.session.FromIdentity}, "/login", nil)
	must(t, err)
	return map[string]managed{
		"attack_416_jwt": {a.jwt.Logins(), a.jwt.RevokeLogin(), nil, func() {
			_, err := a.jwt.Issue(t.Context(), sevens, 0, nil)
			must(t, err)
		}},
		"attack_417_knox": {a.knox.Tokens(), a.knox.RevokeOne(), nil, func() {
			_, _, err := a.knox.Issue(t.Context(), sevens, 0, knox.Token{})
			must(t, err)
		}},
		"attack_418_session": {a.session.List(), a.session.End(), a.session.EndOthers(), func() {
			must(t, a.session.Start(httptest.NewRecorder(), httptest.NewRequest("POST", "https://app.example/", nil), authn.Login{Subject: sevens}))
		}},
		"attack_419_grants": {pages.Grants(), pages.RevokeGrant(), nil, func() {
			if _, _, failure := a.exchange(a.oauth2, a.code(t)); failure != "" {
				t.Fatal(failure)
			}
		}},
	}
}

// One chain can have schemes over two stores without spaces. The account 7 of one then lists and
// revokes nothing of the account 7 of the other. An account of the same store does, also where one
// of the schemes reads it through a cache or another wrapper.
func TestCallersOfAnotherStore(t *testing.T) {
	master := keys.Generate()
	ring, err := keys.NewRing(master[:])
	must(t, err)
	key, err := jose.Generate(jose.ES256)
	must(t, err)
	signing, err := jose.NewKeySet(key)
	must(t, err)
	shared := sharedKeys{ring, signing}
	keeps := func(s cached.Base) storagetest.Store {
		c, err := cached.New(s, nil)
		must(t, err)
		return c
	}
	open := func(name string) *gormstore.Store {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), name), &gormstore.Options{Timeout: 20 * time.Second})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		must(t, s.Migrate(t.Context()))
		return s
	}
	mine, file := memory.New(nil), open("db")
	for name, x := range map[string]struct {
		managed, of storagetest.Store // of: the store of the callers
		status      int
	}{
		"another store":             {withSeven(t, memory.New(nil)), withSeven(t, memory.New(nil)), 403},
		"another store, cached":     {keeps(withSeven(t, memory.New(nil)).(*memory.Store)), keeps(withSeven(t, memory.New(nil)).(*memory.Store)), 403},
		"another kind of store":     {withSeven(t, open("first")), withSeven(t, memory.New(nil)), 403},
		"another database":          {withSeven(t, open("second")), withSeven(t, open("third")), 403},
		"the same store":            {withSeven(t, mine), mine, 200},
		"the same store, cached":    {mine, keeps(mine), 200},
		"the same store, wrapped":   {schemetest.Watch(mine), keeps(mine), 200},
		"the same database, cached": {withSeven(t, file), keeps(file), 200},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApplication(t, "", x.managed, shared)
			all := callers(t, x.of, shared)
			for what, m := range managedBy(t, a) {
				t.Run(what, func(t *testing.T) {
					for by, c := range all {
						m.add()
						checkCaller(t, by, c, m, x.status)
					}
				})
			}
		})
	}
}

// checkCaller sends the requests of one caller. The first one is answered twice, because the
// middleware keeps identities.
func checkCaller(t *testing.T, by string, c caller, m managed, status int) {
	t.Helper()
	auth := authn.New(authn.Chain{c.by}, nil)
	send := func(h http.Handler, method, id string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://app.example/", nil)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.SetPathValue("id", id)
		c.shows(r)
		w := httptest.NewRecorder()
		auth.Handler(h).ServeHTTP(w, r)
		return w
	}
	ids := func() (ids []string) {
		t.Helper()
		w := httptest.NewRecorder()
		m.list.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(authn.WithIdentity(t.Context(), authn.Identity{Subject: sevens})))
		var list []struct{ ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, v := range list {
			ids = append(ids, v.ID)
		}
		return ids
	}
	for range 2 {
		if w := send(m.list, "GET", ""); w.Code != status {
			t.Errorf("%s lists: %d %s, want %d", by, w.Code, w.Body, status)
		}
	}
	before := ids()
	want := before
	if status == 200 {
		status, want = 204, before[1:]
	}
	if w := send(m.revoke, "DELETE", before[0]); w.Code != status {
		t.Errorf("%s revokes: %d %s, want %d", by, w.Code, w.Body, status)
	}
	if after := ids(); fmt.Sprint(after) != fmt.Sprint(want) {
		t.Errorf("%s: %q are left of %q", by, after, before)
	}
	if m.others == nil || status != 403 {
		return
	}
	if w := send(m.others, "POST", ""); w.Code != 403 || len(ids()) != len(before) {
		t.Errorf("%s revokes the others: %d, and %d of %d are left", by, w.Code, len(ids()), len(before))
	}
}
