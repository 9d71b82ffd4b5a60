package authz

import (
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// And allows what all of ps allow: the least of their decisions. It asks from
// left to right and stops at the first that refuses, whose reason it gives. It
// panics where ps is empty or one of them is nil (RULES P2).
func And(ps ...Permission) Permission { return and(checked("And", ps)) }

// Or allows what one of ps allows: the greatest of their decisions. It asks from
// left to right and stops at the first that allows; where all refuse it gives the
// reason of the last that has one. It panics as And does.
func Or(ps ...Permission) Permission { return or(checked("Or", ps)) }

// Not allows what p refuses. A refusal because nobody is logged in, or because
// the identity is delegated and so has no roles and permissions to look at, stays
// a refusal: Not(HasRole("banned")) admits no anonymous caller (RULES P2). It
// panics where p is nil.
func Not(p Permission) Permission { return not{checked("Not", []Permission{p})[0]} }

type (
	and []Permission
	or  []Permission
	not struct{ p Permission }
)

func (ps and) Decide(a Access) (Decision, error) {
	least := Allow
	for _, p := range ps {
		d, err := ask(p, a)
		if d == Deny {
			return Deny, err
		}
		least = min(least, d)
	}
	return least, nil
}

func (ps or) Decide(a Access) (Decision, error) {
	greatest, reason := Deny, error(nil)
	for _, p := range ps {
		d, err := ask(p, a)
		if d == Allow || isFault(err) {
			return d, err
		}
		if err != nil {
			reason = err
		}
		greatest = max(greatest, d)
	}
	if greatest != Deny {
		reason = nil
	}
	return greatest, reason
}

func (n not) Decide(a Access) (Decision, error) {
	d, err := ask(n.p, a)
	if isFault(err) || undecidable(err) {
		return Deny, err
	}
	return Allow - d, nil
}

func (ps and) String() string { return join("And", ps) }
func (ps or) String() string  { return join("Or", ps) }
func (n not) String() string  { return "Not(" + name(n.p) + ")" }

func join(what string, ps []Permission) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = name(p)
	}
	return what + "(" + strings.Join(names, ", ") + ")"
}

// checked returns a copy of ps.
func checked(what string, ps []Permission) []Permission {
	if len(ps) == 0 {
		panic("authz: " + what + " of no permission")
	}
	for _, p := range ps {
		if p == nil {
			panic("authz: " + what + " of a nil permission")
		}
	}
	return append([]Permission(nil), ps...)
}

// Refusals that say "there is nothing to look at" rather than "no". Not leaves
// them as they are.
var (
	errAnonymous = authn.NotAuthenticated()
	errDelegated = authn.PermissionDenied("")
	errNoUser    = authn.PermissionDenied("")
)

func undecidable(err error) bool {
	return err == error(errAnonymous) || err == error(errDelegated) || err == error(errNoUser)
}
