package authz

import "strings"

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

func (ps and) eval(a *Access) verdict {
	all := verdict{d: Allow}
	for _, p := range ps {
		v := eval(p, a)
		switch {
		case v.fault != nil:
			return v
		case v.d == Deny:
			// An earlier one that is Unknown may refuse once the object is there, and
			// be blind or not.
			if all.d == Unknown && v.blind != all.blind {
				v.blind = perhaps
			}
			return v
		case v.d == Unknown:
			all.d, all.blind = Unknown, max(all.blind, v.blind)
		}
	}
	return all
}

func (ps or) eval(a *Access) verdict {
	var all verdict
	for _, p := range ps {
		v := eval(p, a)
		if v.fault != nil || v.d == Allow {
			return v
		}
		all.d = max(all.d, v.d)
		all.blind = max(all.blind, v.blind)
		if v.reason != nil {
			all.reason = v.reason
		}
	}
	if all.d == Unknown {
		return verdict{d: Unknown, blind: min(all.blind, perhaps)}
	}
	return all
}

func (n not) eval(a *Access) verdict {
	v := eval(n.p, a)
	switch {
	case v.fault != nil:
		return v
	case v.d == Deny && v.blind == blind:
		return v
	case v.d == Deny && v.blind == perhaps:
		return verdict{d: Unknown, blind: perhaps}
	}
	return verdict{d: Allow - v.d, blind: v.blind}
}

func (ps and) Decide(a Access) (Decision, error) { return ps.eval(&a).results() }
func (ps or) Decide(a Access) (Decision, error)  { return ps.eval(&a).results() }
func (n not) Decide(a Access) (Decision, error)  { return n.eval(&a).results() }

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
