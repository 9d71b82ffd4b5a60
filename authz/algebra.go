package authz

import (
	"fmt"
	"reflect"
	"strings"
)

// And returns a permission that allows a request if all of ps allow it. Its decision is the lowest
// decision of ps.
//
// It evaluates ps from left to right, stops at the first that denies, and returns the reason of
// that permission. It panics if ps is empty or holds nil, a nil pointer or a nil function.
func And(ps ...Permission) Permission { return and(checked("And", ps)) }

// Or returns a permission that allows a request if at least one of ps allows it. Its decision is
// the highest decision of ps.
//
// It evaluates ps from left to right and stops at the first that allows. If all of them deny, it
// returns the last reason that one of them gave. Or panics in the same cases as [And].
func Or(ps ...Permission) Permission { return or(checked("Or", ps)) }

// Not returns a permission that allows what p denies, and denies what p allows.
//
// Not does not invert a denial caused by missing information. An anonymous caller and a
// scope-limited identity have no roles or permissions to check, so p's denial stays a denial:
// Not(HasRole("banned")) denies anonymous callers. Not panics in the same cases as [And].
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
			// An earlier Unknown permission may deny when the object is loaded, for lack of
			// information or not.
			if all.d == Unknown && v.basis != all.basis {
				v.basis = maybeUninformed
			}
			return v
		case v.d == Unknown:
			all.d, all.basis = Unknown, max(all.basis, v.basis)
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
		all.basis = max(all.basis, v.basis)
		if v.reason != nil {
			all.reason = v.reason
		}
	}
	if all.d == Unknown {
		return verdict{d: Unknown, basis: min(all.basis, maybeUninformed)}
	}
	return all
}

func (n not) eval(a *Access) verdict {
	v := eval(n.p, a)
	switch {
	case v.fault != nil:
		return v
	case v.d == Deny && v.basis == uninformed:
		return v
	case v.d == Deny && v.basis == maybeUninformed:
		return verdict{d: Unknown, basis: maybeUninformed}
	}
	return verdict{d: Allow - v.d, basis: v.basis}
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

// checked returns a copy of ps, or panics if ps is empty or one of them is nil.
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

// isNil reports whether p is nil, a nil pointer or a nil function, or embeds such a Permission.
// Calling its Decide would panic.
func isNil(p Permission) bool { return p == nil || nilValue(reflect.ValueOf(p), 0) }

var permissionType = reflect.TypeFor[Permission]()

// nilValue follows embedded fields at most 16 levels deep, so a type that embeds itself does not
// make it loop.
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
