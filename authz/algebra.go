package authz

import (
	"fmt"
	"reflect"
	"strings"
)

// And allows what all of ps allow: the least of their decisions. It evaluates them from
// left to right and stops at the first that refuses, whose reason it returns. It
// panics if ps is empty or one of them is nil or a nil pointer or function.
func And(ps ...Permission) Permission { return and(checked("And", ps)) }

// Or allows what one of ps allows: the greatest of their decisions. It asks from
// left to right and stops at the first that allows; where all refuse it gives the
// reason of the last that has one. It panics as [And] does.
func Or(ps ...Permission) Permission { return or(checked("Or", ps)) }

// Not allows what p refuses. A refusal because nobody is logged in, or because
// the identity is delegated and so has no roles and permissions to look at, stays
// a refusal: Not(HasRole("banned")) admits no anonymous caller. It
// panics as [And] does.
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
		panic("authz: " + what + ": no permission (at least one is required)")
	}
	for i, p := range ps {
		if isNil(p) {
			panic(fmt.Sprintf("authz: %s: permission %d is nil (%T)", what, i+1, p))
		}
	}
	return append([]Permission(nil), ps...)
}

// isNil reports whether p is nil, a nil pointer or a nil function, or embeds a Permission that
// is: it could only panic.
func isNil(p Permission) bool { return p == nil || nilValue(reflect.ValueOf(p), 0) }

var permissionType = reflect.TypeFor[Permission]()

// nilValue does not follow what embeds itself for ever.
func nilValue(v reflect.Value, depth int) bool {
	if depth > 16 {
		return false
	}
	switch v.Kind() {
	case reflect.Interface:
		return v.IsNil() || nilValue(v.Elem(), depth+1)
	case reflect.Pointer:
		return v.IsNil() || v.Elem().Kind() == reflect.Struct && nilValue(v.Elem(), depth+1)
	case reflect.Func:
		return v.IsNil()
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Anonymous && f.Type.Implements(permissionType) && nilValue(v.Field(i), depth+1) {
				return true
			}
		}
	}
	return false
}
