package authntest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

type forcedKey struct{}

// Forced returns the schemes of the authenticator a, for a test of a whole mux. A request from [As]
// is authenticated as the identity that was passed to As. Any other request is authenticated by
// these schemes, as in production. The challenges, formats and names of the schemes do not change,
// so responses to anonymous requests and the route list are the same as in production.
//
//	mux := routes(authn.New(authntest.Forced(chain), nil)) // routes registers your handlers
//	mux.ServeHTTP(w, authntest.As(r, authn.Identity{Subject: "42", Scheme: "session"}))
//	mux.ServeHTTP(w, r)                                    // 401, with the challenges of chain
//
// The scheme with the name Identity.Scheme accepts the identity, and its challenge is sent if a
// scope is missing. If there is no scheme with this name, the first scheme accepts it. If
// Identity.Scheme is "", it is set to the name of the first scheme. If the zero Identity was passed
// to As, the caller is anonymous, even if the request has credentials.
//
// Forced accepts any identity, so you MUST NOT use it outside of tests. A server that imports this
// package also imports package testing.
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
		if l == nil { // authn.New reports this mistake
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

// nameOf returns the name that package authn uses for a scheme.
func nameOf(a authn.Authenticator) string {
	if n, ok := authn.AbilityOf[authn.Namer](a); ok {
		return n.Name()
	}
	return fmt.Sprintf("%T", a)
}

// forced is a scheme that accepts the identity of As. Its optional interfaces are found with
// Unwrap.
type forced struct {
	authn.Authenticator
	name  string
	first bool
	names map[string]bool // names of all schemes
}

// Unwrap returns the decorated scheme.
func (f *forced) Unwrap() authn.Authenticator { return f.Authenticator }

// Name returns the name of the scheme.
func (f *forced) Name() string { return f.name }

// Authenticate returns the identity of As if this scheme must accept it.
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

// Renew does nothing for an identity of As, which has no session.
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
