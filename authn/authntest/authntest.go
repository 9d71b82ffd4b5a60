// Package authntest contains helpers for tests of handlers that use package authn, and a test suite
// for authenticators.
//
// In tests of handlers, [As] sets the identity of a request. [Forced] does so for a whole mux with
// its production chain.
//
// To test your own authentication scheme, call [Run]. It has a rule for each requirement of
// [authn.Authenticator]. A failing rule prints its requirement:
//
//	func TestContract(t *testing.T) {
//		authntest.Run(t, func(t *testing.T) authntest.World {
//			db := memory.New(nil)
//			// … create an account, a scheme over db, and a key
//			return authntest.World{
//				Scheme: scheme,
//				Good:   func(r *http.Request) { r.Header.Set("X-Api-Key", key) },
//				Bad:    map[string]func(*http.Request){"unknown": …, "malformed": …},
//				Revoke: func() { … },
//			}
//		})
//	}
//
// Run it with -race. [Rules] returns the rules.
package authntest

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// As returns a copy of r that is authenticated as id: [authn.FromContext] returns id in the
// handler, and guards use id for their decision. The zero Identity means an anonymous caller.
//
// Use it to test a handler or guard without middleware. A middleware, and therefore authz.Mux,
// calls its own chain and replaces the identity. To test a whole mux, create its chain with
// [Forced].
//
// If you set Identity.User yourself, the account has permissions only through
// storage.User.WithPermissions.
func As(r *http.Request, id authn.Identity) *http.Request {
	return r.WithContext(context.WithValue(authn.WithIdentity(r.Context(), id), forcedKey{}, id))
}
