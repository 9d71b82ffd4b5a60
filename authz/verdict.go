package authz

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// verdict is an answer taken apart: what Decide says with two results, and what
// Not needs to know besides.
type verdict struct {
	d      Decision
	reason *authn.Error // of a Deny; may be nil
	fault  error        // could not tell; d is Deny then
	blind  blindness    // of a Deny; of an Unknown: what it may become
}

// blindness says whether a Deny means "no" or "there is nothing to look at":
// nobody is authenticated, the identity is delegated and its account's roles
// and permissions are not to be looked at, or nothing is said of the request's method. Not leaves the
// second as it is.
type blindness uint8

const (
	sighted blindness = iota
	perhaps           // depends on the object, which is not loaded yet
	blind
)

// The reasons of a blind leaf, known by their address.
var (
	errAnonymous = authn.NotAuthenticated()
	errDelegated = authn.PermissionDenied("")
	errNoUser    = authn.PermissionDenied("")
)

// isBlind reports whether a reason by itself says that there is nothing to look at.
func isBlind(reason *authn.Error) bool {
	return reason != nil && (reason == errAnonymous || reason == errNoUser || reason == errUpgrade || reason.Status == http.StatusMethodNotAllowed)
}

// eval asks a permission. Those of this package are asked for their verdict; a is on no
// heap, since no interface's method has it.
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
		return verdict{d: Unknown, blind: perhaps} // it will refuse, as there is no account to compare
	}
	own := *a
	if _, copies := p.(copier); !copies {
		own.Identity = a.Identity.Clone()
	}
	d, err := decide(p, &own)
	if err == nil {
		if d > Allow {
			return verdict{fault: fmt.Errorf("authz: %s decided %d, which is no Decision", name(p), uint8(d))}
		}
		return verdict{d: d}
	}
	var reason *authn.Error
	switch {
	case !errors.As(err, &reason):
		return verdict{fault: err}
	case reason == nil: // a typed nil: no reason
		return verdict{d: d}
	case d != Deny:
		return verdict{fault: fmt.Errorf("authz: %s answered %s and refused: %s", name(p), d, reason.Code)}
	}
	v := verdict{reason: reason}
	if errors.As(err, new(unsettled)) {
		v.blind = perhaps
	} else if isBlind(reason) || reason == errDelegated {
		v.blind = blind
	}
	return v
}

// copier is a permission of this package that makes the copy of the identity that an
// application's function gets, when it is called: what that writes reaches no other request.
type copier interface{ copiesIdentity() }

// allows reports that a permission is one of those that are asked most and allows, which
// eval would say at greater length. Where it does not report it, ask eval.
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

// unsettled is the reason of a Deny whose blindness depends on the object.
type unsettled struct{ reason *authn.Error }

func (u unsettled) Error() string { return u.reason.Error() }
func (u unsettled) Unwrap() error { return u.reason }

// results are those of Decide. For a Permission of somebody else that asks one of
// this package, blindness is told by the reason's address or type.
func (v verdict) results() (Decision, error) {
	switch {
	case v.fault != nil:
		return Deny, v.fault
	case v.blind == blind && !isBlind(v.reason):
		return Deny, errDelegated
	case v.blind == perhaps && v.d == Deny && v.reason == nil:
		return Deny, unsettled{authn.PermissionDenied("")}
	case v.blind == perhaps && v.d == Deny:
		return Deny, unsettled{v.reason}
	case v.reason != nil:
		return v.d, v.reason
	}
	return v.d, nil
}
