package knox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestLogin(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		x := scheme(t, s, &knox.Options{Clock: c.Now})
		h := x.Login(schemetest.Anyone{Subject: "id-alice", Epochs: s})
		named := schemetest.Post(`{"username":"alice","password":"x","name":" my phone "}`)
		stale := schemetest.Post(login)
		stale.Header.Set("Authorization", "Knox junk")
		form := httptest.NewRequest("POST", "/", strings.NewReader("username=alice&password=x&name="))
		form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i, r := range []*http.Request{named, stale, form, schemetest.Post(`{"username":"alice","password":"x","name":null}`)} {
			w := schemetest.Do(h, r)
			var body struct{ Token, Expiry string }
			schemetest.Must(t, json.Unmarshal(w.Body.Bytes(), &body))
			if w.Code != 200 || refused(t, x, body.Token) || body.Expiry != "2026-02-03T14:05:06.789012Z" ||
				w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" || len(w.Result().Cookies()) != 1 {
				t.Errorf("login %d: %d %s", i, w.Code, w.Body)
			}
			if !regexp.MustCompile(`^\{"token":"vkn_[^"]{49}","expiry":"[^"]+"\}\n$`).MatchString(w.Body.String()) {
				t.Errorf("login %d: %s", i, w.Body)
			}
		}
		list, err := x.List(t.Context(), "id-alice")
		schemetest.Must(t, err)
		var names []string
		for _, r := range list {
			names = append(names, r.Name)
		}
		if len(list) != 4 || strings.Join(names, "") != "my phone" {
			t.Errorf("names %q", names)
		}
		if w := schemetest.Do(scheme(t, s, &knox.Options{TTL: knox.NoExpiry}).Login(schemetest.Anyone{Subject: "id-alice", Epochs: s}), schemetest.Post(login)); w.Code != 200 || !strings.HasSuffix(w.Body.String(), `,"expiry":null}`+"\n") {
			t.Errorf("without expiry: %d %s", w.Code, w.Body)
		}
		const wrong = `{"detail":"Unable to log in with provided credentials.","code":"invalid_credentials"}`
		if w := schemetest.Do(x.Login(schemetest.Nobody{}), schemetest.Post(login)); w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Knox" || w.Body.String() != wrong || len(w.Result().Cookies()) > 0 {
			t.Errorf("a refused login: %d %v %s", w.Code, w.Header(), w.Body)
		}
		// The account changes between the check of its password and the creation of the token.
		_, err = s.BumpEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		if w := schemetest.Do(x.Login(schemetest.Anyone{Subject: "id-alice"}), schemetest.Post(login)); w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Knox" || w.Body.String() != wrong || len(w.Result().Cookies()) > 0 {
			t.Errorf("a stale login: %d %s", w.Code, w.Body)
		}
		if list, err := x.List(t.Context(), "id-alice"); err != nil || len(list) > 0 {
			t.Errorf("refused logins left %d tokens, %v", len(list), err)
		}
		for body, want := range map[string]string{
			`{}`: `{"username":["This field is required."],"password":["This field is required."]}`,
			`{"username":"a","password":"x","name":[1]}`:                                `{"name":["Not a valid string."]}`,
			`{"username":"a","password":"x","name":"\u0000"}`:                           `{"name":["Null characters are not allowed."]}`,
			`{"username":"a","password":"x","name":"` + strings.Repeat("é", 128) + `"}`: `{"name":["Ensure this field has no more than 255 bytes."]}`,
		} {
			// A malformed body costs no password check.
			if w := schemetest.Do(x.Login(schemetest.Nobody{}), schemetest.Post(body)); w.Code != 400 || w.Body.String() != want {
				t.Errorf("%.50s: %d %s", body, w.Code, w.Body)
			}
		}
		if w := schemetest.Do(h, httptest.NewRequest("GET", "/", nil)); w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("GET: %d", w.Code)
		}
	})
}

// At the limit a login is rejected or revokes the oldest token. Expired tokens and tokens of an
// earlier epoch do not count; tokens without an expiry do.
func TestLimit(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		var c schemetest.Clock
		refuse := scheme(t, s, &knox.Options{Clock: c.Now, TTL: time.Hour, Limit: 2})
		evict := scheme(t, s, &knox.Options{Clock: c.Now, TTL: time.Hour, Limit: 2, EvictOldest: true})
		code := func(x *knox.Scheme, name string) int {
			c.Pass(time.Second)
			w := schemetest.Do(x.Login(schemetest.Anyone{Subject: "id-" + name, Epochs: s}), schemetest.Post(login))
			if w.Code == 403 && (w.Body.String() != `{"detail":"Maximum amount of tokens allowed per user exceeded.","code":"token_limit"}` || len(w.Result().Cookies()) > 0) {
				t.Errorf("%s %v", w.Body, w.Header())
			}
			return w.Code
		}
		oldest, _ := issue(t, refuse, "id-alice", knox.Token{TTL: knox.NoExpiry})
		got := fmt.Sprint(code(refuse, "alice"), code(refuse, "alice"), code(refuse, "bob"))
		if refused(t, refuse, oldest) {
			t.Error("a refused login ended a token")
		}
		if got += fmt.Sprint(" ", code(evict, "alice")); !refused(t, evict, oldest) {
			t.Error("the oldest token works after its eviction")
		}
		c.Pass(2 * time.Hour)
		got += fmt.Sprint(" ", code(refuse, "alice"), code(refuse, "alice"), code(refuse, "alice"))
		_, err := s.BumpEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		got += fmt.Sprint(" ", code(refuse, "alice"), code(refuse, "alice"), code(refuse, "alice"))
		if got != "200 403 200 200 200 200 403 200 200 403" {
			t.Error(got)
		}
	})
}

func TestLogouts(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		var j schemetest.Journal
		x := scheme(t, s, &knox.Options{Audit: audit.To(j.Observe)})
		bobs, _ := issue(t, x, "id-bob", knox.Token{})
		for name, l := range map[string]struct {
			h                http.Handler
			self, others     bool // ended
			limited          int  // what a token that is limited to scopes gets
			evented, counted int
		}{
			"one":    {x.Logout(), true, false, 204, 1, 1},
			"all":    {x.LogoutAll(), true, true, 403, 1, 4},
			"others": {x.LogoutOthers(), false, true, 403, 1, 3},
		} {
			_, err := x.RevokeAll(t.Context(), "id-alice")
			schemetest.Must(t, err)
			a, _ := issue(t, x, "id-alice", knox.Token{})
			b, _ := issue(t, x, "id-alice", knox.Token{})
			issue(t, x, "id-alice", knox.Token{})
			limited, _ := issue(t, x, "id-alice", knox.Token{Scopes: []string{"read"}})
			spent, _ := issue(t, x, "id-alice", knox.Token{Scopes: []string{}})
			if w := schemetest.Do(l.h, schemetest.Request("POST", "Knox "+spent)); w.Code != l.limited || refused(t, x, spent) != (l.limited == 204) || refused(t, x, b) {
				t.Errorf("%s, limited: %d %s", name, w.Code, w.Body)
			} else if l.limited == 403 {
				schemetest.Must(t, x.Revoke(t.Context(), "id-alice", mustID(t, x, spent)))
			}
			j.Take()
			for value, want := range map[string]string{"": `{"detail":"Authentication credentials were not provided."}`, "Knox junk": `{"detail":"Invalid token."}`, "Basic YTpi": `{"detail":"Authentication credentials were not provided."}`, "Bearer " + schemetest.Tampered(a): `{"detail":"Invalid token."}`} {
				if w := schemetest.Do(l.h, schemetest.Request("POST", value)); w.Code != 401 || w.Body.String() != want || w.Header().Get("WWW-Authenticate") != "Knox" {
					t.Errorf("%s with %.12q: %d %s %v", name, value, w.Code, w.Body, w.Header())
				}
			}
			if w := schemetest.Do(l.h, schemetest.Request("GET", "Knox "+a)); w.Code != 405 || w.Header().Get("Allow") != "POST" || refused(t, x, a) {
				t.Errorf("%s, GET: %d", name, w.Code)
			}
			w := schemetest.Do(l.h, schemetest.Request("POST", "Token "+a))
			if w.Code != 204 || w.Body.Len() > 0 || refused(t, x, a) != l.self || refused(t, x, b) != l.others || refused(t, x, limited) != l.others || refused(t, x, bobs) {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
			if e := j.Events()[0]; e.Kind != audit.Logout || e.Count != l.counted || e.Subject != "id-alice" {
				t.Errorf("%s: %+v", name, e)
			}
			want := 204
			if l.self {
				want = 401
			}
			if w := schemetest.Do(l.h, schemetest.Request("POST", "Knox "+a)); w.Code != want {
				t.Errorf("%s again: %d", name, w.Code)
			}
		}
	})
}

func mustID(t *testing.T, x *knox.Scheme, text string) string {
	t.Helper()
	id, err := x.Authenticate(schemetest.With("Knox " + text))
	schemetest.Must(t, err)
	return id.Credential.(*storage.Credential).ID
}

// If the store fails, every endpoint responds with 503: no token, no list, no 204, and nothing is
// revoked.
func TestEndpointFaults(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		counted := schemetest.Watch(s)
		var j schemetest.Journal
		x := scheme(t, counted, &knox.Options{Audit: audit.To(j.Observe), Logger: schemetest.Quiet})
		good, rec := issue(t, x, "id-alice", knox.Token{})
		other, _ := issue(t, x, "id-alice", knox.Token{})
		j.Take()
		revoke := schemetest.Request("DELETE", "Knox "+good)
		revoke.SetPathValue("id", rec.ID)
		down := errors.New("down")
		for what, errs := range map[string][2]error{"reads": {down, nil}, "writes": {nil, down}, "both": {down, down}} {
			counted.Fail(errs[0], reads()...).Fail(errs[1], schemetest.Writes()...)
			reads := errs[0] != nil
			answers := map[string]*httptest.ResponseRecorder{
				"logout": schemetest.Do(x.Logout(), schemetest.Request("POST", "Knox "+good)), "logout all": schemetest.Do(x.LogoutAll(), schemetest.Request("POST", "Knox "+good)),
				"logout others": schemetest.Do(x.LogoutOthers(), schemetest.Request("POST", "Knox "+good)), "revoke": schemetest.Do(x.RevokeOne(), revoke),
			}
			if errs[1] != nil {
				answers["login"] = schemetest.Do(x.Login(schemetest.Anyone{Subject: "id-alice"}), schemetest.Post(login))
			}
			if reads {
				answers["list"] = schemetest.Do(x.Tokens(), schemetest.Request("GET", "Knox "+good))
				w := httptest.NewRecorder()
				authn.New(x, &authn.Options{Logger: schemetest.Quiet}).Handler(http.NotFoundHandler()).ServeHTTP(w, schemetest.With("Knox "+good))
				answers["use"] = w
			}
			for name, w := range answers {
				if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "down") || len(w.Result().Cookies()) > 0 {
					t.Errorf("%s down, %s: %d %v %s", what, name, w.Code, w.Header(), w.Body)
				}
			}
			if got := strings.ReplaceAll(j.Take(), "use.unrecorded", ""); strings.TrimSpace(got) != "" {
				t.Errorf("%s down: events %s", what, got)
			}
		}
		counted.Fail(nil)
		if refused(t, x, good) || refused(t, x, other) {
			t.Error("a fault ended a token")
		}
	})
}

// Behind a chain with Basic, the 401 of an endpoint still has this scheme's challenge.
func TestOwnChallenge(t *testing.T) {
	s := memory.New(nil)
	x := scheme(t, s, &knox.Options{Realm: "api"})
	b, err := basic.New(schemetest.Nobody{}, nil)
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{b, x}, &authn.Options{Logger: schemetest.Quiet})
	for name, c := range map[string]struct {
		h http.Handler
		r *http.Request
	}{
		"login": {x.Login(schemetest.Nobody{}), schemetest.Post(login)}, "logout": {x.Logout(), schemetest.Request("POST", "")}, "logout all": {x.LogoutAll(), schemetest.Request("POST", "")},
		"logout others": {x.LogoutOthers(), schemetest.Request("POST", "")}, "tokens": {x.Tokens(), schemetest.Request("GET", "")}, "revoke": {x.RevokeOne(), schemetest.Request("DELETE", "")},
	} {
		w := httptest.NewRecorder()
		m.Handler(c.h).ServeHTTP(w, c.r)
		if got := w.Header()["Www-Authenticate"]; w.Code != 401 || len(got) != 1 || got[0] != `Knox realm="api"` {
			t.Errorf("%s: %d %q", name, w.Code, got)
		}
	}
}
