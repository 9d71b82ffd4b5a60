package knox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestTokens(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		var c schemetest.Clock
		x := scheme(t, s, &knox.Options{Clock: c.Now})
		empty := authntest.As(schemetest.Request("GET", ""), authn.Identity{Subject: "id-alice", Scheme: "session"})
		if w := schemetest.Do(x.Tokens(), empty); w.Code != 401 { // do replaces the identity by nobody
			t.Errorf("%d %s", w.Code, w.Body)
		}
		ask := func(r *http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			x.Tokens().ServeHTTP(w, r)
			return w
		}
		if w := ask(empty); w.Code != 200 || w.Body.String() != "[]\n" {
			t.Errorf("no tokens: %d %s", w.Code, w.Body)
		}
		_, endless := issue(t, x, "id-alice", knox.Token{Name: "cron <job>", TTL: knox.NoExpiry})
		c.Set(time.Second)
		issue(t, x, "id-alice", knox.Token{Name: "gone", TTL: time.Second})
		mine, rec := issue(t, x, "id-alice", knox.Token{})
		issue(t, x, "id-bob", knox.Token{})
		c.Set(time.Minute)
		want := fmt.Sprintf(`[{"id":%q,"name":"","created":"2026-02-03T04:05:07.789012Z","expiry":"2026-02-03T14:05:07.789012Z","last_used":"2026-02-03T04:06:06.789012Z","current":true},`+
			`{"id":%q,"name":"cron \u003cjob\u003e","created":"2026-02-03T04:05:06.789012Z","expiry":null,"last_used":null,"current":false}]`+"\n", rec.ID, endless.ID)
		if w := ask(schemetest.Request("GET", "Knox "+mine)); w.Code != 200 || w.Body.String() != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d\n%s\n%s", w.Code, w.Body, want)
		}
		if w := ask(empty); w.Code != 200 || w.Body.String() != strings.Replace(want, "true", "false", 1) {
			t.Errorf("by session: %d %s", w.Code, w.Body)
		}
		if w := ask(schemetest.Request("POST", "Knox "+mine)); w.Code != 405 || w.Header().Get("Allow") != "GET" {
			t.Errorf("POST: %d", w.Code)
		}
	})
}

func TestRevokeOne(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		counted := schemetest.Watch(s)
		x := scheme(t, counted, nil)
		mux := http.NewServeMux()
		mux.Handle("/tokens/{id}", x.RevokeOne())
		ask := func(method, id, authorization string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/tokens/"+id, nil)
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			return w
		}
		mine, rec := issue(t, x, "id-alice", knox.Token{})
		lost, lostRec := issue(t, x, "id-alice", knox.Token{})
		bobs, bobsRec := issue(t, x, "id-bob", knox.Token{})
		for _, id := range []string{bobsRec.ID, "nothing", strings.ToUpper(lostRec.ID) + "x", lostRec.ID[:31], "%00", "%ff", strings.Repeat("a", 300), "%25"} {
			if w := ask("DELETE", id, "Knox "+mine); w.Code != 404 || w.Body.String() != `{"detail":"Not found."}` {
				t.Errorf("%s: %d %s", id, w.Code, w.Body)
			}
		}
		if n := counted.Calls("DeleteCredential"); n != 5 {
			t.Errorf("the store was asked %d times: what cannot be an ID stays out of it", n)
		}
		if refused(t, x, bobs) || refused(t, x, lost) {
			t.Error("another token was ended")
		}
		if w := ask("GET", lostRec.ID, "Knox "+mine); w.Code != 405 || w.Header().Get("Allow") != "DELETE" {
			t.Errorf("GET: %d", w.Code)
		}
		if w := ask("DELETE", lostRec.ID, "Knox "+mine); w.Code != 204 || w.Body.Len() > 0 || !refused(t, x, lost) || refused(t, x, mine) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := ask("DELETE", lostRec.ID, "Knox "+mine); w.Code != 404 {
			t.Errorf("again: %d", w.Code)
		}
		if w := ask("DELETE", rec.ID, "Knox "+mine); w.Code != 204 || !refused(t, x, mine) {
			t.Errorf("itself: %d %s", w.Code, w.Body)
		}
	})
}

// Only first-party identities can list and revoke: the identity of the request's own token, or
// otherwise that of the chain.
func TestManagers(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	schemetest.Add(t, s, "bob")
	x := scheme(t, s, nil)
	full, _ := issue(t, x, "id-alice", knox.Token{})
	limited, _ := issue(t, x, "id-alice", knox.Token{Scopes: []string{"read"}})
	_, bobs := issue(t, x, "id-bob", knox.Token{})
	bob := authn.Identity{Subject: "id-bob", Scheme: "session"}
	for name, c := range map[string]struct {
		id            authn.Identity
		authorization string
		status        int
		subject       string
	}{
		"token":                                 {authn.Identity{}, "Knox " + full, 200, "id-alice"},
		"token before the chain":                {bob, "Knox " + full, 200, "id-alice"},
		"session":                               {bob, "", 200, "id-bob"},
		"another scheme's bearer":               {bob, "Bearer e30.e30.e30", 200, "id-bob"},
		"bearer that nobody took":               {authn.Identity{}, "Bearer e30.e30.e30", 401, ""},
		"nobody":                                {authn.Identity{}, "", 401, ""},
		"limited token":                         {authn.Identity{}, "Knox " + limited, 403, ""},
		"limited token, and a session":          {bob, "Knox " + limited, 403, ""},
		"bad token, and a session":              {bob, "Knox " + schemetest.Tampered(full), 401, ""},
		"empty credential, and a session":       {bob, "Knox", 401, ""},
		"client":                                {authn.Identity{Client: "c", Scopes: []string{}}, "", 403, ""},
		"delegated":                             {authn.Identity{Subject: "id-bob", Client: "c", Scopes: []string{"x"}}, "", 403, ""},
		"limited to scopes":                     {authn.Identity{Subject: "id-bob", Scopes: []string{}}, "", 403, ""},
		"somebody of that name, from elsewhere": {authn.Identity{Subject: "id-bob", Issuer: "https://elsewhere.example"}, "", 403, ""},
	} {
		r := authntest.As(schemetest.Request("GET", c.authorization), c.id)
		w := httptest.NewRecorder()
		x.Tokens().ServeHTTP(w, r)
		if w.Code != c.status || (c.subject == "id-bob") != strings.Contains(w.Body.String(), bobs.ID) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w.Code == 401 && w.Header().Get("WWW-Authenticate") != "Knox" {
			t.Errorf("%s: %v", name, w.Header())
		}
		r = authntest.As(schemetest.Request("DELETE", c.authorization), c.id)
		r.SetPathValue("id", "nothing")
		w = httptest.NewRecorder()
		x.RevokeOne().ServeHTTP(w, r)
		if want := map[int]int{200: 404}[c.status]; w.Code != max(want, c.status) {
			t.Errorf("%s: DELETE: %d %s", name, w.Code, w.Body)
		}
	}
}
