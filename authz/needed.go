package authz

import "slices"

// scopes returns the scopes that a client needs to pass this guard, each once, in the order of the
// expression. For And these are the scopes of all operands; for Or those of the last operand that
// denies and that scopes can satisfy.
func (g Guard) scopes(a *Access) []string {
	if g.p == nil {
		return nil
	}
	list, _ := needed(g.p, a)
	return list
}

// needed returns the scopes of the HasScope permissions in p, and what the method alone decides:
// Deny if no identity is allowed, Allow if every identity is.
func needed(p Permission, a *Access) ([]string, Decision) {
	switch e := p.(type) {
	case named:
		switch {
		case e == allowAny || e == noScopeNeeded || e == readOnly && isSafe(a.Request):
			return nil, Allow
		case e == readOnly:
			return nil, Deny
		}
	case *hasScope:
		return e.scopes, Unknown
	case and:
		return neededByAll(e, a)
	case or:
		return neededByOne(e, a)
	case not:
		_, d := needed(e.p, a)
		return nil, Allow - d
	case byMethod:
		p, ok := e.permissionFor(a.Request)
		if !ok {
			return nil, Deny
		}
		return needed(p, a)
	case scopeGrants:
		return needed(e.p, a)
	}
	return nil, Unknown
}

func neededByAll(ps []Permission, a *Access) (all []string, d Decision) {
	d = Allow
	for _, p := range ps {
		list, one := needed(p, a)
		if d = min(d, one); d == Deny {
			return nil, Deny
		}
		for _, s := range list {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all, d
}

// neededByOne prefers the operand that the identity's scopes satisfy already. A challenge that
// names the scopes of another operand would make the client replace them.
func neededByOne(ps []Permission, a *Access) (last []string, d Decision) {
	held := false
	for _, p := range ps {
		list, one := needed(p, a)
		d = max(d, one)
		if one == Deny || len(list) == 0 || held {
			continue
		}
		last = list
		held = !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(a.Identity.Scopes, s) })
	}
	if d == Allow {
		return nil, Allow
	}
	return last, d
}
