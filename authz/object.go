package authz

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/vestibule-auth/vestibule/authn"
)

// If returns a permission that allows a request if f returns true. f is also called for anonymous
// requests, with the zero Identity. f gets a copy of the identity. If panics if f is nil.
func If(f func(authn.Identity) bool) Permission {
	if f == nil {
		panic("authz: If: the function is nil")
	}
	return condition(f)
}

type condition func(authn.Identity) bool

func (f condition) Decide(a Access) (Decision, error) { return allowIf(f(a.Identity.Clone())), nil }
func (condition) copiesIdentity()                     {}
func (f condition) String() string                    { return "If(func)" }

// On returns a permission that depends on the object. It is Unknown until the object is loaded, and
// then allows the request if f returns true. For ownership use [OwnedBy].
//
// f is also called for anonymous requests, so it must not compare an empty Subject with an owner.
// An object that is not a T, or a nil pointer, is a programming error: the status is 500, and the
// request is never allowed. On panics if f is nil.
func On[T any](f func(authn.Identity, T) bool) Permission {
	if f == nil {
		panic("authz: On: the function is nil")
	}
	return newOn("On", f, false)
}

// OwnedBy returns a permission that allows the owner of the object: the user whose Subject equals
// the result of owner. It is Unknown until the object is loaded.
//
// OwnedBy and Not(OwnedBy(…)) both deny anonymous callers, clients without a user and users of
// another issuer, because none of them has an account of this application. An empty owner therefore
// matches no one. OwnedBy panics if owner is nil.
func OwnedBy[T any](owner func(T) string) Permission {
	if owner == nil {
		panic("authz: OwnedBy: the function is nil")
	}
	return newOn("OwnedBy", func(id authn.Identity, object T) bool { return owner(object) == id.Subject }, true)
}

func newOn[T any](what string, f func(authn.Identity, T) bool, owned bool) Permission {
	t := reflect.TypeFor[T]()
	return on[T]{fmt.Sprintf("%s(%v)", what, t), t.Kind() == reflect.Pointer, f, owned}
}

type on[T any] struct {
	name    string
	pointer bool
	f       func(authn.Identity, T) bool
	owned   bool // created by OwnedBy: f does not modify the identity, and is called only for users of this application
}

func (o on[T]) Decide(a Access) (Decision, error) {
	if a.Object == nil {
		return Unknown, nil
	}
	object, ok := a.Object.(T)
	if !ok || o.pointer && reflect.ValueOf(a.Object).IsNil() {
		return Deny, wrongType{o.name, a.Object}
	}
	switch {
	case !o.owned:
		a.Identity = a.Identity.Clone()
	case !a.Identity.Authenticated():
		return Deny, errAnonymous // Not does not invert this denial, nor the next one
	case noUser(&a.Identity):
		return Deny, errNoUser
	}
	return allowIf(o.f(a.Identity, object)), nil
}

// noUser reports whether the identity has no account of this application that could own an object.
func noUser(id *authn.Identity) bool { return id.Subject == "" || id.Issuer != "" }

func (o on[T]) isOwnedBy() bool { return o.owned }

func (on[T]) copiesIdentity() {}

func (o on[T]) String() string { return o.name }

// wrongType is a programming error. The status is 500.
type wrongType struct {
	permission string
	object     any
}

func (w wrongType) Error() string {
	return fmt.Sprintf("authz: %s: object of the wrong type %T", w.permission, w.object)
}

// StatusCode returns 500.
func (wrongType) StatusCode() int { return http.StatusInternalServerError }
