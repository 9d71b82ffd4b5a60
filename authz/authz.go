// Package authz decides what a caller may do, with permissions as in Django REST Framework.
//
// A [Permission] decides about an [Access]. It consists of a request, the identity that makes the
// request and, once it is loaded, the object of the request. Combine permissions with [And], [Or]
// and [Not]. Register routes with [NewMux], which requires a permission for every route, or put a
// [Guard] from [Require] in front of a handler of any router.
//
// Django REST Framework has two methods, one for the request and one for the object. Here one
// method serves both. A permission returns Unknown if the decision depends on an object that is not
// loaded yet. So one expression works for the request and for the object; see [HandleObject].
//
// The package imports only the standard library and package authn.
package authz

import (
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Decision is the result of a permission. The zero value is Deny.
type Decision uint8

// The decisions, in ascending order. And returns the lowest of its operands and Or the highest. Not
// reverses the order.
const (
	Deny    Decision = iota
	Unknown          // depends on an object that is not loaded yet
	Allow
)

// String returns "deny", "unknown" or "allow".
func (d Decision) String() string {
	switch d {
	case Allow:
		return "allow"
	case Unknown:
		return "unknown"
	}
	return "deny"
}

// Access describes what a permission decides about: whether Identity may make Request, on Object.
// Object is nil until it is loaded.
type Access struct {
	Request  *http.Request
	Identity authn.Identity
	Object   any
}

// Permission decides about an access. Implement it for rules of your own, or use [If] and [On].
//
//	Allow, nil              allowed
//	Unknown, nil            depends on the object, and a.Object is nil
//	Deny, nil               denied
//	Deny, *authn.Error      denied, with this reason for the client
//	any other error         the decision failed, and the request is not allowed. The status is
//	                        503, or the result of the error's StatusCode() int if it is 500 to 599
//
// Decide must be safe for concurrent use. If it panics, the status is 500, and the log gets the
// type of the panic value but not its text. If a Permission has a String method, audits use its
// result as the name.
type Permission interface {
	Decide(a Access) (Decision, error)
}

// name returns the result of p's String method, or the name of its type.
func name(p Permission) (s string) {
	defer func() {
		if recover() != nil {
			s = fmt.Sprintf("%T", p)
		}
	}()
	if s, ok := p.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", p)
}
