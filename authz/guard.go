package authz

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/vestibule-auth/vestibule/authn"
)

// Guard is a permission in front of a handler. Make one with Require; the zero
// Guard refuses everything.
type Guard struct {
	p    Permission
	read Permission // nil: objects are not hidden
}

// Require makes a guard that needs all of ps. It panics if ps is empty or one of them is nil, a
// nil pointer or a nil function. For a public handler use Require(AllowAny).
func Require(ps ...Permission) Guard {
	ps = checked("Require", ps)
	if len(ps) == 1 {
		return Guard{p: ps[0]}
	}
	return Guard{p: and(ps)}
}

// Hide returns a guard that answers 404 instead of 401 or 403 for an object that
// the caller may not even read, so that it looks like one that does not exist.
// read is what reading an object takes.
func (g Guard) Hide(read Permission) Guard {
	g.read = checked("Hide", []Permission{read})[0]
	return g
}

// String names the permission, for audits.
func (g Guard) String() string {
	if g.p == nil {
		return "Deny"
	}
	return name(g.p)
}

// Check decides about the request alone. It returns nil for Allow and for
// Unknown: what depends on the object is left to CheckObject, which the handler
// must call. A refusal is an *authn.Error: 401 where nobody is authenticated,
// else 403 or what the refusing leaf says. Any other error is a fault. Answer
// either with authn.Respond.
func (g Guard) Check(r *http.Request) error {
	_, err := g.decide(r)
	return err
}

// CheckObject decides about the request and an object. Only Allow passes. A nil
// object counts as one that is not loaded: refused.
func (g Guard) CheckObject(r *http.Request, object any) error {
	a := Access{r, peek(r), object}
	v := g.eval(&a)
	switch {
	case v.fault != nil:
		return asFault(g.p, v.fault)
	case v.d == Allow:
		return nil
	}
	if g.read != nil && object != nil {
		readable := eval(g.read, &a)
		if readable.fault != nil {
			return asFault(g.read, readable.fault)
		}
		if readable.d != Allow {
			return authn.NotFound("")
		}
	}
	return g.refuse(&a, v.reason)
}

// peek returns the caller's identity as no handler has touched it. It is not to be written
// to: see owned.
func peek(r *http.Request) authn.Identity {
	if id := authn.Peek(r.Context()); id != nil {
		return *id
	}
	return authn.Identity{}
}

// decide is Check with the decision.
func (g Guard) decide(r *http.Request) (Decision, error) {
	if id := authn.Peek(r.Context()); id != nil && allows(g.p, r, id) {
		return Allow, nil
	}
	a := Access{Request: r, Identity: peek(r)}
	if allows(g.p, r, &a.Identity) {
		return Allow, nil
	}
	v := g.eval(&a)
	switch {
	case v.fault != nil:
		return Deny, asFault(g.p, v.fault)
	case v.d == Deny:
		return Deny, g.refuse(&a, v.reason)
	}
	return v.d, nil
}

func (g Guard) eval(a *Access) verdict {
	if g.p == nil {
		return verdict{}
	}
	return eval(g.p, a)
}

// refuse makes the error for a refusal with that reason, which may be nil. The
// reason of a plain 403 is for authenticated callers; others are asked to log in.
func (g Guard) refuse(a *Access, e *authn.Error) error {
	switch {
	case !a.Identity.Authenticated() && (e == nil || e.Status == http.StatusForbidden):
		e = authn.NotAuthenticated()
	case e == nil:
		return authn.PermissionDenied("")
	}
	// All scopes, and not the missing one alone: clients ask for those that a challenge names and
	// no others.
	if e.Scopes == nil && (e.Status == http.StatusUnauthorized || e.Code == authn.CodeInsufficientScope) {
		if list := g.scopes(a); len(list) > 0 {
			c := *e
			c.Scopes = list
			return &c
		}
	}
	return e
}

// Handler lets through to next what the guard allows, and answers the rest. It
// refuses Unknown too: a guard that depends on an object belongs to HandleObject,
// and one that was forgotten fails closed. Handler panics if next is nil.
func (g Guard) Handler(next http.Handler) http.Handler {
	return &guarded{g, notNil("Guard.Handler", next), false}
}

// notNil panics for a handler that could only panic.
func notNil(what string, h http.Handler) http.Handler {
	if v := reflect.ValueOf(h); h == nil || (v.Kind() == reflect.Func || v.Kind() == reflect.Pointer) && v.IsNil() {
		panic(fmt.Sprintf("authz: %s: the handler is nil (%T)", what, h))
	}
	return h
}

// HandlerFunc is Handler for a function.
func (g Guard) HandlerFunc(next http.HandlerFunc) http.Handler { return g.Handler(next) }

// HandleObject makes a handler for one object: it asks the guard about the
// request, loads the object, asks about the object, and calls h with it. What the
// request alone refuses is refused before load is called.
//
// An error of load is answered by [authn.Respond]. Return authn.NotFound("") for an absent
// object. An error of a dependency, such as a network failure, is 503 (see [authn.Undecided]);
// any other error, such as the database's refusal of an ill-formed ID, is 500. If load
// panics the answer is 500, and the log gets the type of the value, not its text;
// http.ErrAbortHandler aborts the response as in any handler.
func HandleObject[T any](g Guard, load func(*http.Request) (T, error), h func(http.ResponseWriter, *http.Request, T)) http.Handler {
	if load == nil || h == nil {
		panic("authz: HandleObject: a nil function")
	}
	return &guarded{g, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		object, err := loaded(r, load)
		if err == nil {
			err = g.CheckObject(r, object)
		}
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		h(w, r, object)
	}), true}
}

func loaded[T any](r *http.Request, load func(*http.Request) (T, error)) (object T, err error) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			panic(v)
		} else if v != nil {
			err = newPanic("load of HandleObject", v)
		}
	}()
	return load(r)
}

// guarded is a handler behind a guard. It lets an audit see through it.
type guarded struct {
	g         Guard
	next      http.Handler
	perObject bool // next asks about the object, so Unknown may go on
}

// Unwrap returns the handler behind the guard.
func (h *guarded) Unwrap() http.Handler { return h.next }

// Permission names what the guard needs.
func (h *guarded) Permission() string { return h.g.String() }

// ScopesNeeded returns the scopes that a challenge for r names.
func (h *guarded) ScopesNeeded(r *http.Request) []string { return h.g.scopes(&Access{Request: r}) }

func (h *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, err := h.g.decide(r)
	if err == nil && d == Unknown && !h.perObject {
		err = h.g.refuse(&Access{Request: r, Identity: peek(r)}, nil)
	}
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	h.next.ServeHTTP(w, r)
}
