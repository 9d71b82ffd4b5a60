package authz

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// verdict is the result of a permission in separate fields, with the additional information that
// Not requires.
type verdict struct {
	d      Decision
	reason *authn.Error // of a Deny; may be nil
	fault  error        // the decision failed; then d is Deny
	basis  basis        // of a Deny, or of the Deny that an Unknown may become
}

// basis tells whether a Deny is a real denial or one for lack of information. Information is
// missing if the caller is anonymous, if the identity is scope-limited so that its roles and
// permissions do not count, or if no rule exists for the request's method. Not does not invert a
// Deny for lack of information.
type basis uint8

const (
	informed        basis = iota
	maybeUninformed       // depends on an object that is not loaded yet
	uninformed
)

// The reasons of denials for lack of information. They are compared by address.
var (
	errAnonymous = authn.NotAuthenticated()
	errDelegated = authn.PermissionDenied("")
	errNoUser    = authn.PermissionDenied("")
)

// isUninformed reports whether a reason alone shows that the denial is for lack of information.
func isUninformed(reason *authn.Error) bool {
	return reason != nil && (reason == errAnonymous || reason == errNoUser || reason == errUpgrade || reason.StepUp != nil || reason.Status == http.StatusMethodNotAllowed)
}

// eval evaluates a permission. It calls the eval method of this package's own permissions directly,
// without an interface, so that a stays off the heap.
func eval(p Permission, a *Access) verdict {
	switch e := p.(type) {
	case named:
		return e.eval(a)
	case hasRole:
		return e.eval(a)
	case hasPerm:
		return e.eval(a)
	case hasPermByScope:
		return e.eval(a)
	case hasRoleByScope:
		return e.eval(a)
	case *hasScope:
		return e.eval(a)
	case *stepUp:
		return e.eval(a)
	case and:
		return e.eval(a)
	case or:
		return e.eval(a)
	case not:
		return e.eval(a)
	case byMethod:
		return e.eval(a)
	case scopeGrants:
		return e.eval(a)
	case opaque:
		return e.eval(a)
	}
	if o, ok := p.(interface{ isOwnedBy() bool }); ok && o.isOwnedBy() && a.Object == nil && noUser(&a.Identity) {
		return verdict{d: Unknown, basis: maybeUninformed} // it will deny, because there is no account to compare
	}
	own := *a
	if _, copies := p.(copier); !copies {
		own.Identity = a.Identity.Clone()
	}
	d, err := decide(p, &own)
	if err == nil {
		if d > Allow {
			return verdict{fault: fmt.Errorf("authz: %s: returned %d, which is not a Decision", name(p), uint8(d))}
		}
		return verdict{d: d}
	}
	var reason *authn.Error
	switch {
	case !errors.As(err, &reason):
		return verdict{fault: err}
	case reason == nil: // a typed nil is no reason
		return verdict{d: d}
	case d != Deny:
		return verdict{fault: fmt.Errorf("authz: %s: returned %s together with a denial: %s (only Deny may have an *authn.Error)", name(p), d, reason.Code)}
	}
	v := verdict{reason: reason}
	if errors.As(err, new(maybeUninformedError)) {
		v.basis = maybeUninformed
	} else if isUninformed(reason) || reason == errDelegated {
		v.basis = uninformed
	}
	return v
}

// copier marks permissions of this package that clone the identity before they pass it to a
// function of the application, so that the function cannot change it for other requests.
type copier interface{ copiesIdentity() }

// allows is a fast path for the most frequent permissions. It reports true if p certainly allows
// the request. If it reports false, call eval.
func allows(p Permission, r *http.Request, id *authn.Identity) bool {
	switch e := p.(type) {
	case named:
		return e.allows(r, id)
	case *hasScope:
		return e.missing(id) == nil
	case and:
		for _, p := range e {
			if !allows(p, r, id) {
				return false
			}
		}
		return true
	}
	return false
}

// maybeUninformedError is the reason of a Deny whose basis depends on the object.
type maybeUninformedError struct{ reason *authn.Error }

func (u maybeUninformedError) Error() string { return u.reason.Error() }
func (u maybeUninformedError) Unwrap() error { return u.reason }

// results converts a verdict to the results of Decide. A Permission of another package that calls
// one of this package passes the basis on through the address or the type of the reason.
func (v verdict) results() (Decision, error) {
	switch {
	case v.fault != nil:
		return Deny, v.fault
	case v.basis == uninformed && !isUninformed(v.reason):
		return Deny, errDelegated
	case v.basis == maybeUninformed && v.d == Deny && v.reason == nil:
		return Deny, maybeUninformedError{authn.PermissionDenied("")}
	case v.basis == maybeUninformed && v.d == Deny:
		return Deny, maybeUninformedError{v.reason}
	case v.reason != nil:
		return v.d, v.reason
	}
	return v.d, nil
}
