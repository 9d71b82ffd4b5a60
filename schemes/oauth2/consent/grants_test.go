package consent_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestGrants(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		oauthtest.Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		alice, bob := w.Alice("s1"), &authn.Identity{Subject: "id-bob", Scheme: "token"}
		mux := http.NewServeMux()
		mux.Handle("/grants", w.Grants())
		mux.Handle("/grants/{id}", w.RevokeGrant())
		if got := w.GrantsOf(alice); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
		one := w.Exchange("app", w.Code("app", nil))
		w.Pass(time.Second)
		two := w.Exchange("spa", w.Code("spa", func(c *storage.Code) { c.Scopes = nil }))
		his := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Subject, c.Epoch = "id-bob", 0 }))
		mine := w.GrantsOf(alice)
		if len(mine) != 2 || mine[0].Client != "spa" || mine[0].Scopes == nil || mine[1].Client != "app" || strings.Join(mine[1].Scopes, " ") != "read" ||
			mine[1].Created != "2026-02-03T04:05:06.789012Z" || mine[1].Expiry <= mine[1].Created {
			t.Fatalf("%+v", mine)
		}
		one = w.Refreshes("app", one.Refresh)
		if got := w.GrantsOf(alice); len(got) != 2 || got[1].ID != mine[1].ID {
			t.Errorf("a refresh makes another grant: %+v", got)
		}
		bobs := w.GrantsOf(bob)
		limited, foreign := *alice, *alice
		limited.Scopes, foreign.Issuer = []string{}, "https://idp.example"
		byToken, err := w.Identity(one.Access)
		oauthtest.Must(t, err)
		w.Take()
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
			"an id that cannot be":        {alice, "DELETE", "/grants/a%00b", 404},
			"another method for the list": {alice, "POST", "/grants", 405},
			"another method for one":      {alice, "GET", "/grants/x", 405},
		} {
			if rec := w.Behind(mux, c.id, c.method, c.path, ""); rec.Code != c.want {
				t.Errorf("%s: %d, want %d: %s", what, rec.Code, c.want, rec.Body)
			}
		}
		if w.Status(one.Access) != 200 || w.Status(two.Access) != 200 || w.Take() != "" {
			t.Error("a refused request ended something")
		}
		if rec := w.Behind(mux, alice, "DELETE", "/grants/"+mine[1].ID, ""); rec.Code != 204 || w.Status(one.Access) != 401 || w.Refreshes("app", one.Refresh).Error != "invalid_grant" {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if e := w.Take(); e != "consent.dropped" {
			t.Errorf("events %s", e)
		}
		if rec := w.Behind(mux, alice, "DELETE", "/grants/"+mine[1].ID, ""); rec.Code != 404 {
			t.Errorf("again: %d", rec.Code)
		}
		if w.Status(two.Access) != 200 || w.Status(his.Access) != 200 || len(w.GrantsOf(alice)) != 1 || len(w.GrantsOf(bob)) != 1 || bobs[0].ID == mine[1].ID {
			t.Error("another grant ended too")
		}
		w.DB.Fail.Store(true)
		if rec := w.Behind(mux, alice, "DELETE", "/grants/"+mine[0].ID, ""); rec.Code != 503 {
			t.Errorf("the store is down: %d", rec.Code)
		}
		w.DB.Fail.Store(false)
		w.Pass(91 * 24 * time.Hour)
		if got := w.GrantsOf(alice); len(got) != 0 {
			t.Errorf("expired: %+v", got)
		}
		w.Exchange("app", w.Code("app", nil))
		_, err = w.DB.BumpEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		if got := w.GrantsOf(alice); len(got) != 0 {
			t.Errorf("after log-out-everywhere: %+v", got)
		}
	})
}

// Whoever has hundreds of grants sees and revokes the oldest too, in the list and on the page.
func TestOlderGrants_attack_525(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		alice := w.Alice("s1")
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "oldest", Name: "Oldest", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}}))
		got := w.Post(w.Token(), "none", "client_id", "oldest", "grant_type", "authorization_code", "code", w.Code("oldest", nil), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier)
		if got.Status != 200 {
			t.Fatal(got.Body)
		}
		list, _, err := w.Server.Server.Grants(t.Context(), "id-alice", storage.FamilyPlace{}, 1)
		oauthtest.Must(t, err)
		oldest := list[0].ID
		for i := range 204 {
			f := list[0]
			f.ID, f.Client = fmt.Sprintf("grant-%03d", i), "spa"
			f.Created = f.Created.Add(time.Duration(1+i/7) * time.Second) // several at once
			oauthtest.Must(t, s.CreateFamily(t.Context(), f, storage.Refresh{Digest: storage.DigestOf(f.ID), Created: f.Created, Expires: f.Expires}))
		}
		mux := http.NewServeMux()
		mux.Handle("/grants", w.Grants())
		mux.Handle("/grants/{id}", w.RevokeGrant())
		all := map[string]int{}
		pages, last := 0, ""
		for query := ""; pages < 10; pages++ {
			rec := w.Behind(mux, alice, "GET", "/grants"+query, "")
			var items []oauthtest.GrantItem
			if err := json.Unmarshal(rec.Body.Bytes(), &items); rec.Code != 200 || err != nil || len(items) > 100 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			for _, item := range items {
				all[item.ID]++
				last = item.ID
			}
			link := regexp.MustCompile(`^<(\?after=[^>]+)>; rel="next"$`).FindStringSubmatch(rec.Header().Get("Link"))
			if link == nil {
				break
			}
			query = link[1]
		}
		if len(all) != 205 || pages != 2 || last != oldest {
			t.Errorf("%d grants on %d pages, the last is %q", len(all), pages+1, last)
		}
		for id, n := range all {
			if n != 1 {
				t.Errorf("%s comes %d times", id, n)
			}
		}
		for _, bad := range []string{"x", "x.y", ".", "1", "1.", "99999999999999999999.a", "1.a%00b", "-"} {
			if rec := w.Behind(mux, alice, "GET", "/grants?after="+bad, ""); rec.Code != 400 {
				t.Errorf("after %q: %d", bad, rec.Code)
			}
			if rec := w.Behind(w.GrantsPage("/login"), alice, "GET", "/oauth2/applications?after="+bad, ""); rec.Code != 400 {
				t.Errorf("page after %q: %d", bad, rec.Code)
			}
		}
		body := ""
		for query, n := "", 0; n < 10; n++ {
			rec := w.Behind(w.GrantsPage("/login"), alice, "GET", "/oauth2/applications"+query, "")
			body = rec.Body.String()
			link := regexp.MustCompile(`<a href="(\?after=[^"]+)">`).FindStringSubmatch(body)
			if link == nil {
				break
			}
			query = html.UnescapeString(link[1])
		}
		if !strings.Contains(body, "Oldest") || !strings.Contains(body, `value="`+oldest+`"`) {
			t.Fatalf("the last page has no oldest grant: %s", body)
		}
		if rec := w.Behind(w.GrantsPage("/login"), alice, "POST", "/oauth2/applications?after=1.x", "grant="+oldest); rec.Code != 303 || w.Status(got.Access) != 401 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

func TestGrantsPage(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	alice := w.Alice("s1")
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "named", Name: "<b>Nice</b>", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}}))
	page := func(id *authn.Identity, method, body string) *httptest.ResponseRecorder {
		return w.Behind(w.GrantsPage("/login"), id, method, "/oauth2/applications", body)
	}
	if rec := page(alice, "GET", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "None.") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	got := w.Post(w.Token(), "none", "client_id", "named", "grant_type", "authorization_code", "code", w.Code("named", nil), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier)
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
		if rec := page(id, "POST", form); rec.Code != 403 || w.Status(got.Access) != 200 {
			t.Errorf("%s: %d", what, rec.Code)
		}
		if rec := page(id, "GET", ""); rec.Code != 303 || strings.Contains(rec.Body.String(), "Nice") {
			t.Errorf("%s sees: %d", what, rec.Code)
		}
	}
	if rec := page(&authn.Identity{Subject: "id-bob", Credential: oauthtest.Login{Session: "s2"}}, "POST", form); rec.Code != 303 || w.Status(got.Access) != 200 {
		t.Errorf("another user: %d", rec.Code)
	}
	for method, want := range map[string]int{"PUT": 405, "DELETE": 405} {
		if rec := page(alice, method, form); rec.Code != want {
			t.Errorf("%s: %d", method, rec.Code)
		}
	}
	if rec := page(alice, "GET", form); rec.Code != 200 || w.Status(got.Access) != 200 {
		t.Errorf("by GET: %d", rec.Code)
	}
	for range 2 {
		if rec := page(alice, "POST", form); rec.Code != 303 || rec.Header().Get("Location") != "?" || w.Status(got.Access) != 401 {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
	}
	w.DB.Fail.Store(true)
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
	oauthtest.NewWorld(t, memory.New(nil), nil).GrantsPage("/login")
}
