// Package authz answers "may they?".
//
// A [Permission] decides about an [Access]: a request, who makes it, and, once it
// is loaded, the object it is about. Permissions combine with [And], [Or] and
// [Not]; [Require] makes a [Guard] of them that stands in front of a handler.
//
// There is one method for both levels of Django REST Framework, request and
// object. It has three values: what depends on an object that is not loaded yet
// is Unknown, so that the same expression means the same at both levels.
//
// The package imports the standard library and authn.
package authz

import (
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Decision is a permission's answer. The zero value is Deny.
type Decision uint8

// The three values, in order: And is the least of its operands, Or the greatest,
// Not turns the scale round.
const (
	Deny    Decision = iota
	Unknown          // depends on the object, which is not loaded yet
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

// Access is the question: may Identity do Request, to Object? Object is nil while
// it is not loaded.
type Access struct {
	Request  *http.Request
	Identity authn.Identity
	Object   any
}

// Permission decides about an access.
//
//	Allow, nil              yes
//	Unknown, nil            it depends on the object, and a.Object is nil
//	Deny, nil               no
//	Deny, *authn.Error      no, for this public reason
//	any other error         could not tell: never an Allow. The answer is 503, or what
//	                        the error's StatusCode() int says, from 500 to 599
//
// Decide is safe for concurrent use. If it panics, the answer is 500; the log gets the type of
// the panic's value, not its text. A Permission that has a String method is named by it in
// audits.
type Permission interface {
	Decide(a Access) (Decision, error)
}

// name is a permission's String, or its type.
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
