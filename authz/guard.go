package authz

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/vestibule-auth/vestibule/authn"
)

// Guard checks a permission in front of a handler. Create one with [Require]. The zero Guard denies
// everything.
type Guard struct {
	p    Permission
	read Permission // nil: CheckObject never answers 404
}

// Require returns a guard that requires all of ps. For a public handler use Require(AllowAny). It
// panics if ps is empty or holds nil, a nil pointer or a nil function.
func Require(ps ...Permission) Guard {
	ps = checked("Require", ps)
	if len(ps) == 1 {
		return Guard{p: ps[0]}
	}
	return Guard{p: and(ps)}
}

// Hide returns a guard that responds with 404 instead of 401 or 403 if the caller may not read the
// object. So the object looks as if it does not exist. The argument read is the permission to read
// an object. Hide panics if read is nil.
func (g Guard) Hide(read Permission) Guard {
	g.read = checked("Hide", []Permission{read})[0]
	return g
}

// String returns the name of the permission, for audits.
func (g Guard) String() string {
	if g.p == nil {
		return "Deny"
	}
	return name(g.p)
}

// Check decides about the request without an object. It returns nil for Allow and for Unknown. So
// if the permission depends on an object, the handler must load the object and then call
// [Guard.CheckObject].
//
// A denial is an *authn.Error: 401 for anonymous callers, otherwise 403 or the reason that the
// denying permission returned. Any other error means that the decision failed. Pass either to
// authn.Respond.
func (g Guard) Check(r *http.Request) error {
	_, err := g.decide(r)
	return err
}

// CheckObject decides about the request and an object. It returns nil only for Allow. A nil object
// counts as not loaded, so permissions that depend on it deny. It returns the same errors as
// [Guard.Check], and a 404 if [Guard.Hide] applies.
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

// peek returns the caller's identity, without changes that a handler made to its copy. The result
// is shared: code of the application gets only clones (see copier).
func peek(r *http.Request) authn.Identity {
	if id := authn.Peek(r.Context()); id != nil {
		return *id
	}
	return authn.Identity{}
}

// decide does the work of Check and returns the decision too.
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

// refuse returns the error for a denial with reason e, which may be nil. An anonymous caller gets
// 401 instead of 403.
func (g Guard) refuse(a *Access, e *authn.Error) error {
	switch {
	case !a.Identity.Authenticated() && (e == nil || e.Status == http.StatusForbidden):
		e = authn.NotAuthenticated()
	case e == nil:
		return authn.PermissionDenied("")
	}
	if e.StepUp != nil { // name all requirements, so that one login meets them
		if all := stepUps(g.p, a); len(all) > 1 {
			e = authn.InsufficientAuthentication(all...)
		}
	}
	// Name all scopes, not only the missing one: clients request exactly the scopes that a
	// challenge names.
	if e.Scopes == nil && (e.Status == http.StatusUnauthorized || e.Code == authn.CodeInsufficientScope || e.StepUp != nil) {
		if list := g.scopes(a); len(list) > 0 {
			c := *e
			c.Scopes = list
			return &c
		}
	}
	return e
}

// Handler calls next for requests that the guard allows, and answers all others. It also denies
// Unknown, so a forgotten object check denies access. For permissions that depend on an object use
// [HandleObject]. Handler panics if next is nil.
func (g Guard) Handler(next http.Handler) http.Handler {
	return &guarded{g, notNil("Guard.Handler", next), false}
}

// notNil returns h, or panics if it is nil, a nil pointer or a nil function.
func notNil(what string, h http.Handler) http.Handler {
	if v := reflect.ValueOf(h); h == nil || (v.Kind() == reflect.Func || v.Kind() == reflect.Pointer) && v.IsNil() {
		panic(fmt.Sprintf("authz: %s: the handler is nil (%T)", what, h))
	}
	return h
}

// HandlerFunc is [Guard.Handler] for a function.
func (g Guard) HandlerFunc(next http.HandlerFunc) http.Handler { return g.Handler(next) }

// HandleObject returns a handler for one object. It checks the guard for the request, loads the
// object, checks the guard for the object, and calls h with it. If the request alone is denied,
// load is not called. HandleObject panics if load or h is nil.
//
// [authn.Respond] answers an error of load. Return authn.NotFound("") if the object does not exist.
// An error of a dependency, such as a network failure, is answered with 503 (see
// [authn.Undecided]). Any other error is answered with 500, for example a database error about an
// invalid ID.
//
// If load panics, the status is 500, and the log gets the type of the panic value but not its text.
// http.ErrAbortHandler aborts the response as in any handler.
func HandleObject[T any](g Guard, load func(*http.Request) (T, error), h func(http.ResponseWriter, *http.Request, T)) http.Handler {
	if load == nil || h == nil {
		panic("authz: HandleObject: load or h is nil")
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

// guarded is a handler behind a guard. Audits unwrap it.
type guarded struct {
	g         Guard
	next      http.Handler
	perObject bool // next calls CheckObject, so Unknown is accepted
}

// Unwrap returns the handler behind the guard.
func (h *guarded) Unwrap() http.Handler { return h.next }

// Permission returns the name of the guard's permission.
func (h *guarded) Permission() string { return h.g.String() }

// ScopesNeeded returns the scopes for a challenge to r.
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
