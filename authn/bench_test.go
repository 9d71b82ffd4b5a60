package authn_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// reader is like the schemes of this module: it declares its header and returns an identity by
// value.
type reader struct{ name, header, keyword string }

func (s reader) Name() string      { return s.name }
func (s reader) Headers() []string { return []string{s.header} }
func (s reader) Authenticate(r *http.Request) (authn.Identity, error) {
	if s.header == "Cookie" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	text, err := authn.Credentials(r, s.keyword, "token")
	if err != nil {
		return authn.Identity{}, err
	}
	return authn.Identity{Subject: text, Scheme: s.name}, nil
}

// six is the order of the comparison server.
var six = authn.Chain{
	reader{"session", "Cookie", ""}, reader{"jwt", "Authorization", "Bearer"}, reader{"oauth2", "Authorization", "Bearer"},
	reader{"knox", "Authorization", "Knox"}, reader{"token", "Authorization", "Token"}, reader{"basic", "Authorization", "Basic"},
}

type floorKey struct{}

// floor is middleware that only stores a value in the context.
type floor struct {
	value any
	next  http.Handler
}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, f.value)))
}

var sink any

// BenchmarkAnonymous is an anonymous request through a chain of six schemes. The
// floor is one context value on a copy of the request, which is what any
// middleware pays that tells the handler something.
func BenchmarkAnonymous(b *testing.B) {
	value := new(int)
	b.Run("floor", func(b *testing.B) {
		benchmark(b, &floor{value, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sink = r.Context().Value(floorKey{}) })})
	})
	b.Run("six_schemes", func(b *testing.B) {
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { found = authn.FromContext(r.Context()).Authenticated() })
		benchmark(b, authn.New(six, &authn.Options{Logger: quiet}).Handler(next))
	})
}

var found bool

// BenchmarkAccepted is a request whose credential the fifth of six schemes accepts
// without a store: what the chain and the middleware cost by themselves; and the
// same behind a guard.
func BenchmarkAccepted(b *testing.B) {
	m := authn.New(six, &authn.Options{Logger: quiet})
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { found = authn.FromContext(r.Context()).Authenticated() })
	b.Run("middleware", func(b *testing.B) { benchmark(b, m.Handler(next), "Token abc") })
	b.Run("middleware_and_guard", func(b *testing.B) {
		g := authz.Require(authz.IsAuthenticated, authz.Or(authz.IsAdmin, authz.Not(authz.ViaScheme("basic"))))
		benchmark(b, m.Handler(g.Handler(next)), "Token abc")
	})
}

func benchmark(b *testing.B, h http.Handler, authorization ...string) {
	r, w := httptest.NewRequest("GET", "/", nil), &discard{make(http.Header)}
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
