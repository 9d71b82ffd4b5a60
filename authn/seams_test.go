package authn_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// formReader is a scheme that reads a token from a form and restores the body.
type formReader struct{ cookies }

func (f formReader) Authenticate(r *http.Request) (authn.Identity, error) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if err != nil {
		return authn.Identity{}, err
	}
	return f.cookies.Authenticate(r)
}

// Behind a staging proxy with its own password, the handler gets the body that a scheme read.
func TestIgnoredKeywordKeepsBody(t *testing.T) {
	h := authn.New(formReader{cookies{"sid"}}, &authn.Options{IgnoreKeywords: []string{"Basic"}}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, authn.FromContext(r.Context()).Subject+" "+string(body)+" "+r.Header.Get("Authorization"))
	}))
	for _, line := range []string{"", "Basic c3RhZ2luZzp4"} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("note=x"))
		r.Header.Set("Cookie", "sid=good")
		if line != "" {
			r.Header.Set("Authorization", line)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Body.String() != "good note=x "+line {
			t.Errorf("%q: %q", line, w.Body)
		}
	}
}

// busy is a used-up limit of rejected credentials. It records its calls.
type busy struct{ refused []string }

func (b *busy) Admit(r *http.Request, _ *authn.Presented) error {
	if len(r.Header["Authorization"]) > 0 {
		return authn.Throttled(0)
	}
	return nil
}

func (b *busy) Refused(r *http.Request, _ error) error {
	b.refused = append(b.refused, r.Header.Get("Authorization")+r.Header.Get("Cookie"))
	return authn.Throttled(0)
}

func (*busy) Accepted(*http.Request, *authn.Presented, authn.Identity) {}

// A client that shares its address with an attacker who uses up the limit of rejected credentials
// is still redirected from a page to the login, because its expired session counts as no
// credentials. A request without credentials is not counted, whatever keyword a proxy uses.
func Test_edge_C18_pages(t *testing.T) {
	for name, tc := range map[string]struct {
		headers []string
		code    int
		counted int
	}{
		"an ended session":       {[]string{"Cookie: sid=bad"}, 303, 1},
		"a banned one":           {[]string{"Cookie: sid=banned"}, 429, 1},
		"ignored":                {[]string{"Authorization: Basic c3RhZ2luZzp4"}, 303, 0},
		"ignored, and a session": {[]string{"Authorization: Basic c3RhZ2luZzp4", "Cookie: sid=good"}, 200, 0},
		"nothing":                {nil, 303, 0},
		"Authorization":          {[]string{"Authorization: Token x"}, 429, 0},
	} {
		limit := new(busy)
		m := authn.New(lapsing{cookies{"sid"}}, &authn.Options{Logger: quiet, Refusals: limit, IgnoreKeywords: []string{"Basic"}})
		h := m.Handler(authz.Require(authz.IsAuthenticated).Handler(authn.Page("/login", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))))
		if w := ask(h, "GET", "/me", tc.headers...); w.Code != tc.code || len(limit.refused) != tc.counted {
			t.Errorf("%s: %d, want %d; counted %q", name, w.Code, tc.code, limit.refused)
		}
	}
}

// A page whose pattern also matches the login page does not cause an endless redirect.
func Test_edge_B06_loop(t *testing.T) {
	h := authn.New(lapsing{cookies{"sid"}}, &authn.Options{Logger: quiet}).Handler(authz.Require(authz.IsAuthenticated).Handler(authn.Page("/login?from=app", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))))
	for _, cookie := range []string{"Cookie: a=b", "Cookie: sid=bad"} {
		for target, want := range map[string]int{"/login": 401, "/login?from=app&next=%2Fme": 401, "/me": 303} {
			if w := ask(h, "GET", target, cookie); w.Code != want {
				t.Errorf("%s with %q: %d %s", target, cookie, w.Code, w.Header().Get("Location"))
			}
		}
	}
}
