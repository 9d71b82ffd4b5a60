package authz

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/vestibule-auth/vestibule/authn"
)

// If lets in whom f says. f is called for anonymous requests too, with the zero
// Identity.
func If(f func(authn.Identity) bool) Permission {
	if f == nil {
		panic("authz: If of a nil function")
	}
	return condition(f)
}

type condition func(authn.Identity) bool

func (f condition) Decide(a Access) (Decision, error) { return allowIf(f(a.Identity.Clone())), nil }
func (condition) copiesIdentity()                     {}
func (f condition) String() string                    { return "If(func)" }

// On decides by the object: it is Unknown while there is none, and then what f
// says. f is called for anonymous requests too, so it must not take an empty
// Subject for an owner; OwnedBy takes care of that. An object of another type is
// an error of the program (500), never a decision; so is a nil pointer.
func On[T any](f func(authn.Identity, T) bool) Permission {
	if f == nil {
		panic("authz: On of a nil function")
	}
	return newOn("On", f, false)
}

// OwnedBy lets the owner of an object in: the user whose Subject owner returns.
// An empty owner is nobody's, and a subject that another issuer
// vouches for is another account. Not(OwnedBy(…)) refuses, too, an anonymous caller, a client
// without a user and a user of another issuer: there is no account to compare with the owner.
func OwnedBy[T any](owner func(T) string) Permission {
	if owner == nil {
		panic("authz: OwnedBy of a nil function")
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
	owned   bool // f is OwnedBy's: it writes nothing, and is called for users of this application
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
		return Deny, errAnonymous // Not keeps it, as it does the next one
	case noUser(&a.Identity):
		return Deny, errNoUser
	}
	return allowIf(o.f(a.Identity, object)), nil
}

// noUser reports that an identity has no account of this application that could own something.
func noUser(id *authn.Identity) bool { return id.Subject == "" || id.Issuer != "" }

func (o on[T]) isOwnedBy() bool { return o.owned }

func (on[T]) copiesIdentity() {}

func (o on[T]) String() string { return o.name }

// wrongType is a mistake of the program: 500.
type wrongType struct {
	permission string
	object     any
}

func (w wrongType) Error() string {
	return fmt.Sprintf("authz: %s was asked about a %T", w.permission, w.object)
}

// StatusCode is 500.
func (wrongType) StatusCode() int { return http.StatusInternalServerError }
