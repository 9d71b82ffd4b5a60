package authntest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

type forcedKey struct{}

// Forced returns the schemes of a for a test of a whole mux: a request that went through [As] is
// the identity that As was given, and any other request is authenticated by a, as in production. The
// challenges, the claims and the names of the schemes stay, so an anonymous request is answered as
// in production and the route list is the same.
//
//	mux := routes(authn.New(authntest.Forced(chain), nil)) // routes registers your handlers
//	mux.ServeHTTP(w, authntest.As(r, authn.Identity{Subject: "42", Scheme: "session"}))
//	mux.ServeHTTP(w, r)                                    // 401, with the challenges of chain
//
// The scheme whose name is Identity.Scheme accepts the identity, and answers for it if a scope is
// missing; without one of that name it is the first. A Scheme of "" becomes that scheme's name.
// As with the zero Identity is the anonymous caller, whatever credential the request carries.
//
// Forced accepts any identity, so it MUST NOT be used outside of tests; the package cannot be
// compiled into a server without package testing.
func Forced(a authn.Authenticator) authn.Authenticator {
	c, ok := a.(authn.Chain)
	if !ok {
		c = authn.Chain{a}
	}
	var leaves []authn.Authenticator
	flatten(&leaves, c)
	names := map[string]bool{}
	var all authn.Chain
	for i, l := range leaves {
		f := &forced{Authenticator: l, name: nameOf(l), first: i == 0, names: names}
		names[f.name] = true
		if l == nil { // a mistake that authn.New reports
			all = append(all, nil)
			continue
		}
		all = append(all, f)
	}
	return all
}

func flatten(to *[]authn.Authenticator, c authn.Chain) {
	for _, a := range c {
		if nested, ok := a.(authn.Chain); ok {
			flatten(to, nested)
		} else {
			*to = append(*to, a)
		}
	}
}

// nameOf is the name that package authn gives to a scheme.
func nameOf(a authn.Authenticator) string {
	if n, ok := authn.AbilityOf[authn.Namer](a); ok {
		return n.Name()
	}
	return fmt.Sprintf("%T", a)
}

// forced is a scheme that accepts what As left. Its abilities are found by Unwrap.
type forced struct {
	authn.Authenticator
	name  string
	first bool
	names map[string]bool // of all schemes
}

// Unwrap returns the scheme.
func (f *forced) Unwrap() authn.Authenticator { return f.Authenticator }

// Name returns the name of the scheme.
func (f *forced) Name() string { return f.name }

// Authenticate returns the identity of As, if this scheme is the one that accepts it.
func (f *forced) Authenticate(r *http.Request) (authn.Identity, error) {
	id, ok := forcedFrom(r.Context())
	switch {
	case !ok:
		return f.Authenticator.Authenticate(r)
	case !id.Authenticated() || id.Scheme != f.name && (f.names[id.Scheme] || !f.first):
		return authn.Identity{}, authn.ErrNoCredentials
	}
	return id, nil
}

// Renew renews no session for an identity that has none.
func (f *forced) Renew(w http.ResponseWriter, r *http.Request, id authn.Identity) error {
	if _, ok := forcedFrom(r.Context()); ok {
		return nil
	}
	if n, ok := authn.AbilityOf[authn.Renewer](f.Authenticator); ok {
		return n.Renew(w, r, id)
	}
	return nil
}

func forcedFrom(ctx context.Context) (authn.Identity, bool) {
	id, ok := ctx.Value(forcedKey{}).(authn.Identity)
	return id, ok
}
