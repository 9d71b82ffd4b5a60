package authn_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// undeclared is a third-party decorator that declares neither the decorated scheme nor its headers.
type undeclared struct{ a authn.Authenticator }

func (u undeclared) Authenticate(r *http.Request) (authn.Identity, error) {
	return u.a.Authenticate(r)
}

// An explicit credential takes precedence over a cookie, valid or not, even if the cookie's scheme
// does not declare its headers.
func TestUndeclaredSchemes_attack_340(t *testing.T) {
	w := newWorld(t)
	session := cookies{"sid"}
	header := authn.Func(func(r *http.Request) (authn.Identity, error) { // declares nothing either
		if r.Header.Get("X-Api-Key") != "good" {
			return authn.Identity{}, authn.ErrNoCredentials
		}
		return authn.Identity{Subject: "carol", Scheme: "key"}, nil
	})
	loose := authn.Func(w.token.Authenticate)
	for name, chain := range map[string]authn.Chain{
		"declared":              {session, w.token},
		"undeclared":            {undeclared{session}, w.token},
		"a function":            {authn.Func(session.Authenticate), w.token},
		"both undeclared":       {undeclared{session}, loose},
		"the token before":      {loose, undeclared{session}},
		"a chain in one":        {undeclared{authn.Chain{session, w.token}}},
		"a chain of undeclared": {undeclared{authn.Chain{undeclared{session}, loose}}},
		"beside a key":          {undeclared{session}, header, w.token},
		"nested":                {authn.Chain{undeclared{session}}, authn.Chain{w.token}},
		"an Ambient":            {declaredAmbient{undeclared{session}}, w.token},
	} {
		for what, c := range map[string]struct {
			headers []string
			status  int
			body    string
		}{
			"cookie alone":                   {[]string{"Cookie: sid=alice"}, 200, "alice"},
			"good token":                     {[]string{"Cookie: sid=mallory", "Authorization: Token " + w.good}, 200, "alice/token"},
			"bad token":                      {[]string{"Cookie: sid=mallory", "Authorization: Token " + strings.Repeat("0", 40)}, 401, ""},
			"junk under a known keyword":     {[]string{"Cookie: sid=mallory", "Authorization: Token junk"}, 401, ""},
			"good token, bad cookie":         {[]string{"Cookie: sid=bad", "Authorization: Token " + w.good}, 200, "alice/token"},
			"good token, the cookie's fault": {[]string{"Cookie: sid=broken", "Authorization: Token " + w.good}, 200, "alice/token"},
			"unknown keyword":                {[]string{"Cookie: sid=alice", "Authorization: Other x"}, 200, "alice"},
			"unknown keyword, bad cookie":    {[]string{"Cookie: sid=bad", "Authorization: Other x"}, 401, ""},
			"nobody":                         {[]string{"Authorization: Other x"}, 200, "/"},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				m := authn.New(chain, &authn.Options{Logger: quiet, Trace: true})
				got := ask(m.Handler(http.HandlerFunc(who)), "GET", "/", c.headers...)
				if got.Code != c.status && !(c.status == 401 && got.Code == 403) || !strings.HasPrefix(got.Body.String(), c.body) {
					t.Errorf("%d %s, want %d %s", got.Code, got.Body, c.status, c.body)
				}
			})
		}
	}
	t.Run("the handler sees the cookies", func(t *testing.T) {
		h := authn.New(authn.Chain{undeclared{session}, w.token}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("Cookie"))
		}))
		if got := ask(h, "GET", "/", "Cookie: sid=mallory", "Authorization: Token "+w.good); got.Body.String() != "sid=mallory" {
			t.Errorf("%d %q", got.Code, got.Body)
		}
	})
	t.Run("the body is whole", func(t *testing.T) {
		reads := func(r *http.Request) (authn.Identity, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil || string(b) != "body" {
				return authn.Identity{}, errors.New("the body is not whole: " + string(b))
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
			return authn.Identity{}, authn.ErrNoCredentials
		}
		h := authn.New(authn.Chain{authn.Func(reads), authn.Func(reads)}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		}))
		r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
		r.Header.Set("Cookie", "a=b")
		r.Header.Set("Authorization", "Other x")
		got := httptest.NewRecorder()
		if h.ServeHTTP(got, r); got.Body.String() != "body" {
			t.Errorf("%d %q", got.Code, got.Body)
		}
	})
}

type declaredAmbient struct{ undeclared }

func (declaredAmbient) Ambient() bool { return true }
