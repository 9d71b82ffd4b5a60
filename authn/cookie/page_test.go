package cookie_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/cookie"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// failing is a store of tokens that can fail.
type failing struct {
	storagetest.Store
	down atomic.Bool
}

func (f *failing) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	if f.down.Load() {
		return storage.Credential{}, storage.User{}, errDown
	}
	return f.Store.CredentialByDigest(ctx, purpose, d)
}

// On a page, a token that is no longer valid counts as none, for whatever reason, and the cookie is
// removed. Nothing else removes it.
func TestEndedOnPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db storagetest.Store) {
		s, now := &failing{Store: db}, time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		tokens, err := knox.New(s, &knox.Options{TTL: time.Hour, Clock: func() time.Time { return now }})
		must(t, err)
		pages, err := cookie.New("access", newSite(t), tokens, &cookie.Options{Keyword: "Knox"})
		must(t, err)
		calls := 0
		hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			_, _ = w.Write([]byte("page of " + authn.FromContext(r.Context()).Subject))
		})
		mux := authz.NewMux(authn.New(authn.Chain{tokens, pages}, nil))
		mux.Handle("/page", authn.Page("/login", hello), authz.IsAuthenticated)
		mux.Handle("/open", authn.Page("/login", hello), authz.AllowAny)
		mux.Handle("/api", hello, authz.AllowAny)
		do := func(method, path string, headers ...string) *httptest.ResponseRecorder {
			r := request(method, headers...)
			r.URL.Path = path
			r.RequestURI = path
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			return w
		}
		removes := func(w *httptest.ResponseRecorder) bool {
			list := w.Result().Cookies()
			return len(list) == 1 && list[0].String() == pages.Cookie("", -1).String()
		}
		issue := func(name string) (string, string) {
			id := "id-" + name
			if err := s.CreateUser(t.Context(), storage.User{ID: id, Name: name, Active: true}); !errors.Is(err, storage.ErrConflict) {
				must(t, err)
			}
			epoch, err := tokens.CurrentEpoch(t.Context(), id)
			must(t, err)
			text, rec, err := tokens.Issue(t.Context(), id, epoch, knox.Token{})
			must(t, err)
			return "Cookie: __Host-access=" + text, rec.ID
		}
		for what, end := range map[string]func(id string){
			"revoked":    func(id string) { must(t, tokens.Revoke(t.Context(), "id-revoked", id)) },
			"everywhere": func(string) { _, err := storage.LogoutEverywhere(t.Context(), s, "id-everywhere"); must(t, err) },
			"disabled":   func(string) { must(t, s.SetActive(t.Context(), "id-disabled", false)) },
			"expired":    func(string) { now = now.Add(2 * time.Hour) },
		} {
			t.Run("edge_B06/"+what, func(t *testing.T) {
				c, id := issue(what)
				if w := do("GET", "/page", c); w.Code != 200 || w.Body.String() != "page of id-"+what || len(w.Result().Cookies()) > 0 {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				end(id)
				if w := do("GET", "/page", c); w.Code != 303 || w.Header().Get("Location") != "/login?next=%2Fpage" || !removes(w) {
					t.Errorf("%d %v", w.Code, w.Header())
				}
				if w := do("GET", "/open", c); w.Code != 200 || w.Body.String() != "page of " || !removes(w) {
					t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
				}
				if w := do("GET", "/api", c); w.Code != 401 || !removes(w) {
					t.Errorf("no page: %d %v", w.Code, w.Header())
				}
				calls = 0
				if w := do("POST", "/open", c, "Origin: "+origin); w.Code != 303 || !removes(w) {
					t.Errorf("POST: %d %v", w.Code, w.Header())
				}
				for _, from := range []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Origin: null"} {
					if w := do("POST", "/open", c, from); w.Code != 403 || len(w.Result().Cookies()) > 0 {
						t.Errorf("POST, %q: %d %v", from, w.Code, w.Header())
					}
				}
				if w := do("GET", "/open", c, "Authorization: Knox junk"); w.Code != 401 || len(w.Result().Cookies()) > 0 {
					t.Errorf("a bad Authorization: %d %v", w.Code, w.Header())
				}
				if calls != 0 {
					t.Errorf("the page was called %d times", calls)
				}
			})
		}
		t.Run("edge_B06/unknown", func(t *testing.T) {
			for _, value := range []string{"junk", "", "a b", "vkn_" + strings.Repeat("A", 49)} {
				if w := do("GET", "/page", "Cookie: __Host-access="+value); w.Code != 303 || !removes(w) {
					t.Errorf("%q: %d %v", value, w.Code, w.Header())
				}
			}
		})
		t.Run("edge_B06/no doubt", func(t *testing.T) {
			c, id := issue("doubt")
			for round := range 2 {
				for what, headers := range map[string][]string{"two cookies": {c + "; __Host-access=x"}, "two lines": {c, c}, "two spellings": {c + "; __host-access=x"}} {
					if w := do("GET", "/page", headers...); w.Code != 401 || len(w.Result().Cookies()) > 0 {
						t.Errorf("%s: %d %v", what, w.Code, w.Header())
					}
				}
				s.down.Store(true)
				if w := do("GET", "/page", c); w.Code != 503 || len(w.Result().Cookies()) > 0 {
					t.Errorf("a fault: %d %v", w.Code, w.Header())
				}
				s.down.Store(false)
				r := plain(request("GET", c))
				w := httptest.NewRecorder()
				if mux.ServeHTTP(w, r); len(w.Result().Cookies()) > 0 {
					t.Errorf("plain http: %d %v", w.Code, w.Header())
				}
				if round == 0 {
					must(t, tokens.Revoke(t.Context(), "id-doubt", id))
				}
			}
		})
	})
}

// Reaching a limit of the wrapped scheme does not count as a rejected credential.
func TestThrottledOnPages(t *testing.T) {
	s, err := cookie.New("access", newSite(t), authn.Func(bearer), bearers())
	must(t, err)
	h := authn.New(s, nil).Handler(authn.Page("/login", http.NotFoundHandler()))
	for value, want := range map[string]int{"slow": 429, "down": 503} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("GET", "Cookie: __Host-access="+value))
		if w.Code != want || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %d %v", value, w.Code, w.Header())
		}
	}
}

// hiding is a decorator without Unwrap.
type hiding struct{ a authn.Authenticator }

func (h hiding) Authenticate(r *http.Request) (authn.Identity, error) { return h.a.Authenticate(r) }

// A page detects an expired credential behind any decorator.
func TestEndedBehindADecorator_attack_341(t *testing.T) {
	tokens, err := knox.New(memory.New(nil), nil)
	must(t, err)
	pages, err := cookie.New("access", newSite(t), tokens, &cookie.Options{Keyword: "Knox"})
	must(t, err)
	h := authn.New(authn.Chain{hiding{pages}}, nil).Handler(authn.Page("/login", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	for method, want := range map[string]int{"GET": 200, "POST": 303} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, request(method, "Cookie: __Host-access=junk")); w.Code != want || len(w.Result().Cookies()) != 1 {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}
