// Package authntest helps to test handlers that use package authn, and proves authenticators.
//
// For handlers there are [As], which gives a request an identity, and [Forced], which does so
// for a whole mux with the chain that it has in production.
//
// For an authentication scheme of your own there is [Run]. It has a rule for each promise of the
// contract of authn.Authenticator, and a failing rule prints that promise:
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
// Run it with -race. [Rules] lists the rules.
package authntest

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// As returns a copy of r that a middleware seems to have authenticated as id: what
// authn.FromContext returns in the handler, and what guards decide about. The zero
// Identity is the anonymous caller.
//
// Use it for handlers and guards by themselves. A middleware, and so
// authz.Mux, asks its own chain and replaces the identity: to test a whole mux, make its chain
// with [Forced].
//
// An account that you put into Identity.User yourself has permissions only through
// storage.User.WithPermissions.
func As(r *http.Request, id authn.Identity) *http.Request {
	return r.WithContext(context.WithValue(authn.WithIdentity(r.Context(), id), forcedKey{}, id))
}
