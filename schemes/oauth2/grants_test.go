package oauth2_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// behind sends a request to h behind a chain, which found id; nil for nobody.
func (w *world) behind(h http.Handler, id *authn.Identity, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	authn.New(authn.Chain{w.Server}, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(func(rw http.ResponseWriter, in *http.Request) {
		if id != nil {
			in = authntest.As(in, *id)
		}
		h.ServeHTTP(rw, in)
	})).ServeHTTP(rec, r)
	return rec
}

type grantItem struct {
	ID, Client, Name, Created, Expiry string
	Scopes                            []string
}

// grantsOf lists the grants of an identity.
func (w *world) grantsOf(id *authn.Identity) (list []grantItem) {
	w.t.Helper()
	rec := w.behind(w.Grants(), id, "GET", "/grants", "")
	if rec.Code != 200 || rec.Header().Get("Cache-Control") != "no-store" || strings.HasPrefix(rec.Body.String(), "null") {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	must(w.t, json.Unmarshal(rec.Body.Bytes(), &list))
	return list
}

func TestGrants(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, withSessions)
		must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		alice, bob := w.alice("s1"), &authn.Identity{Subject: "id-bob", Scheme: "token"}
		mux := http.NewServeMux()
		mux.Handle("/grants", w.Grants())
		mux.Handle("/grants/{id}", w.RevokeGrant())
		if got := w.grantsOf(alice); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
		one := w.exchange("app", w.code("app", nil))
		w.pass(time.Second)
		two := w.exchange("spa", w.code("spa", func(c *storage.Code) { c.Scopes = nil }))
		his := w.exchange("app", w.code("app", func(c *storage.Code) { c.Subject, c.Epoch = "id-bob", 0 }))
		mine := w.grantsOf(alice)
		if len(mine) != 2 || mine[0].Client != "spa" || mine[0].Scopes == nil || mine[1].Client != "app" || strings.Join(mine[1].Scopes, " ") != "read" ||
			mine[1].Created != "2026-02-03T04:05:06.789012Z" || mine[1].Expiry <= mine[1].Created {
			t.Fatalf("%+v", mine)
		}
		one = w.refreshes("app", one.Refresh)
		if got := w.grantsOf(alice); len(got) != 2 || got[1].ID != mine[1].ID {
			t.Errorf("a refresh makes another grant: %+v", got)
		}
		bobs := w.grantsOf(bob)
		limited, foreign := *alice, *alice
		limited.Scopes, foreign.Issuer = []string{}, "https://idp.example"
		byToken, err := w.identity(one.Access)
		must(t, err)
		w.take()
		for what, c := range map[string]struct {
			id           *authn.Identity
			method, path string
			want         int
		}{
			"nobody":                      {nil, "GET", "/grants", 401},
			"nobody ends":                 {nil, "DELETE", "/grants/" + mine[0].ID, 401},
			"limited to scopes":           {&limited, "GET", "/grants", 403},
			"limited to scopes ends":      {&limited, "DELETE", "/grants/" + mine[0].ID, 403},
			"by a client's token":         {&byToken, "GET", "/grants", 403},
			"by a client's token ends":    {&byToken, "DELETE", "/grants/" + mine[0].ID, 403},
			"another issuer's":            {&foreign, "GET", "/grants", 403},
			"a client alone":              {&authn.Identity{Client: "app"}, "GET", "/grants", 403},
			"another's":                   {bob, "DELETE", "/grants/" + mine[0].ID, 404},
			"unheard of":                  {alice, "DELETE", "/grants/x", 404},
			"an id that can not be":       {alice, "DELETE", "/grants/a%00b", 404},
			"another method for the list": {alice, "POST", "/grants", 405},
			"another method for one":      {alice, "GET", "/grants/x", 405},
		} {
			if rec := w.behind(mux, c.id, c.method, c.path, ""); rec.Code != c.want {
				t.Errorf("%s: %d, want %d: %s", what, rec.Code, c.want, rec.Body)
			}
		}
		if w.status(one.Access) != 200 || w.status(two.Access) != 200 || w.take() != "" {
			t.Error("a refused request ended something")
		}
		if rec := w.behind(mux, alice, "DELETE", "/grants/"+mine[1].ID, ""); rec.Code != 204 || w.status(one.Access) != 401 || w.refreshes("app", one.Refresh).Error != "invalid_grant" {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if e := w.take(); e != "withdrawn" {
			t.Errorf("events %s", e)
		}
		if rec := w.behind(mux, alice, "DELETE", "/grants/"+mine[1].ID, ""); rec.Code != 404 {
			t.Errorf("again: %d", rec.Code)
		}
		if w.status(two.Access) != 200 || w.status(his.Access) != 200 || len(w.grantsOf(alice)) != 1 || len(w.grantsOf(bob)) != 1 || bobs[0].ID == mine[1].ID {
			t.Error("another grant ended too")
		}
		w.s.fail.Store(true)
		if rec := w.behind(mux, alice, "DELETE", "/grants/"+mine[0].ID, ""); rec.Code != 503 {
			t.Errorf("the store is down: %d", rec.Code)
		}
		w.s.fail.Store(false)
		w.pass(91 * 24 * time.Hour)
		if got := w.grantsOf(alice); len(got) != 0 {
			t.Errorf("expired: %+v", got)
		}
		w.exchange("app", w.code("app", nil))
		_, err = w.s.BumpEpoch(t.Context(), "id-alice")
		must(t, err)
		if got := w.grantsOf(alice); len(got) != 0 {
			t.Errorf("after log-out-everywhere: %+v", got)
		}
	})
}

func TestGrantsPage(t *testing.T) {
	w := newWorld(t, memory.New(nil), withSessions)
	alice := w.alice("s1")
	must(t, w.s.CreateClient(t.Context(), storage.Client{ID: "named", Name: "<b>Nice</b>", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}}))
	page := func(id *authn.Identity, method, body string) *httptest.ResponseRecorder {
		return w.behind(w.GrantsPage("/login"), id, method, "/oauth2/applications", body)
	}
	if rec := page(alice, "GET", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "None.") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	got := w.post(w.Token(), "none", "client_id", "named", "grant_type", "authorization_code", "code", w.code("named", nil), "redirect_uri", redirect, "code_verifier", verifier)
	if got.Status != 200 {
		t.Fatal(got.Body)
	}
	rec := page(alice, "GET", "")
	body := rec.Body.String()
	for _, want := range []string{"&lt;b&gt;Nice", "alice", "<li>Read</li>", "2026-02-03", `name="csrfmiddlewaretoken" value="token of id-alice"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "form-action") || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v", rec.Header())
	}
	m := regexp.MustCompile(`name="grant" value="([^"]+)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatal(body)
	}
	form := "grant=" + html.UnescapeString(m[1])
	if rec := page(nil, "GET", ""); rec.Code != 303 || !strings.HasPrefix(rec.Header().Get("Location"), "/login?next=%2Foauth2%2Fapplications") {
		t.Errorf("nobody: %d %v", rec.Code, rec.Header())
	}
	limited, token := *alice, authn.Identity{Subject: "id-alice", Scheme: "token"}
	limited.Scopes = []string{"read"}
	for what, id := range map[string]*authn.Identity{"nobody": nil, "limited": &limited, "no session": &token} {
		if rec := page(id, "POST", form); rec.Code != 403 || w.status(got.Access) != 200 {
			t.Errorf("%s: %d", what, rec.Code)
		}
		if rec := page(id, "GET", ""); rec.Code != 303 || strings.Contains(rec.Body.String(), "Nice") {
			t.Errorf("%s sees: %d", what, rec.Code)
		}
	}
	if rec := page(&authn.Identity{Subject: "id-bob", Credential: login{"s2", 0}}, "POST", form); rec.Code != 303 || w.status(got.Access) != 200 {
		t.Errorf("another user: %d", rec.Code)
	}
	for method, want := range map[string]int{"PUT": 405, "DELETE": 405} {
		if rec := page(alice, method, form); rec.Code != want {
			t.Errorf("%s: %d", method, rec.Code)
		}
	}
	if rec := page(alice, "GET", form); rec.Code != 200 || w.status(got.Access) != 200 {
		t.Errorf("by GET: %d", rec.Code)
	}
	for range 2 {
		if rec := page(alice, "POST", form); rec.Code != 303 || rec.Header().Get("Location") != "?" || w.status(got.Access) != 401 {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
	}
	w.s.fail.Store(true)
	for _, method := range []string{"GET", "POST"} {
		if rec := page(alice, method, form); rec.Code != 503 {
			t.Errorf("the store is down: %s: %d", method, rec.Code)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a page without Options.Session")
		}
	}()
	newWorld(t, memory.New(nil), nil).GrantsPage("/login")
}
