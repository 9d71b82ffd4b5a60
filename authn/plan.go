package authn

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
)

// leaf is one scheme of a chain with its abilities looked up.
type leaf struct {
	Authenticator
	name       string
	claims     []CredentialFormat
	challenger Challenger // nil: has none
	renewer    Renewer    // nil: has none
	headers    []string   // nil: asked for every request
	mask       uint64     // of its headers, in plan.headers
	reads      []string   // its headers as it says, or what it decorates; nil: unknown
	keeper     Keeper     // nil: its identities are not kept
	safeOnly   bool       // kept identities are for safe requests only
	elsewhere  bool       // its credential is known not to be in Authorization
	unknown    bool       // it does not say where its credential is: perhaps in a cookie
	quick      bool       // only asked for what its claims say: see plan.takers
}

func newLeaf(a Authenticator) leaf {
	l := leaf{Authenticator: a, name: fmt.Sprintf("%T", a)}
	if n, ok := AbilityOf[Namer](a); ok {
		l.name = n.Name()
	}
	if c, ok := AbilityOf[FormatDeclarer](a); ok {
		l.claims = c.Formats()
	}
	l.challenger, _ = AbilityOf[Challenger](a)
	l.renewer, _ = AbilityOf[Renewer](a)
	if reflect.ValueOf(a).Comparable() {
		l.keeper, _ = a.(Keeper) // not through a decorator: it may change the identity
	}
	if h, ok := a.(HeaderReader); ok { // not through a decorator: it may read more
		l.headers = h.Headers()
	}
	if h, ok := AbilityOf[HeaderReader](a); ok {
		l.reads = h.Headers()
	}
	l.unknown = l.reads == nil && !l.isAmbient()
	l.elsewhere = !l.unknown && !slices.Contains(l.reads, "Authorization")
	// Browsers attach such a credential to requests of any site, so only Authenticate can accept
	// a request that changes something. A scheme that does not say what it reads may be one.
	l.safeOnly = l.reads == nil || slices.Contains(l.reads, "Cookie") || l.isAmbient()
	return l
}

// ambient reports whether the leaf's credential is not in Authorization and comes
// without the doing of who makes the request.
func (l *leaf) ambient() bool {
	return l.elsewhere && (l.isAmbient() || slices.Contains(l.reads, "Cookie"))
}

// isAmbient reports whether the leaf says so itself.
func (l *leaf) isAmbient() bool {
	a, ok := AbilityOf[Ambient](l.Authenticator)
	return ok && a.Ambient()
}

// plan is a chain made ready: its leaves in the order of asking, and the headers
// they look at, so that one look at a request decides whom to ask.
type plan struct {
	leaves      []leaf
	headers     []string // distinct, bit i of a mask is headers[i]
	explicit    []int    // order of asking where Authorization is present: ambient schemes last
	inOrder     []int    // order of asking otherwise
	both        []int    // order of asking with Authorization and cookies; nil: no leaf is unknown
	cookiesFrom int      // from where on in both an unknown leaf sees the cookies
	cookies     bool     // some leaf reads cookies: browsers come here
	claimed     []claimed
	table       *Table         // nil: nothing is kept
	proxies     TrustedProxies // for the address of guesses
}

func newPlan(leaves []leaf) *plan {
	p := &plan{leaves: leaves}
	var last, again []int
	unknown := false
	for i := range leaves {
		l := &leaves[i]
		for _, h := range l.headers {
			bit := slices.Index(p.headers, h)
			if bit < 0 {
				bit = len(p.headers)
				p.headers = append(p.headers, h)
			}
			l.mask |= 1 << (bit % 64)
		}
		p.inOrder = append(p.inOrder, i)
		if i < 64 && l.claimsAll() {
			l.quick = true
			p.claim(i, l.claims)
		}
		if l.ambient() {
			last = append(last, i)
		} else {
			p.explicit = append(p.explicit, i)
		}
		if unknown = unknown || l.unknown; l.unknown || l.ambient() {
			again = append(again, i)
		}
		p.cookies = p.cookies || slices.Contains(l.reads, "Cookie")
	}
	if unknown {
		p.cookiesFrom = len(p.explicit)
		p.both = append(slices.Clone(p.explicit), again...)
	}
	p.explicit = append(p.explicit, last...)
	return p
}

// question is what decides whom to ask about a request.
type question struct {
	r        *http.Request
	explicit bool   // it has an Authorization
	quick    bool   // the claims tell whom to ask of those that have claims
	takers   uint64 // they are: see plan.takers
	looked   bool   // present is set
	present  uint64 // the plan's headers that the request has
}

// worth reports whether a leaf is worth asking. Where the claims name one that takes the
// credential it is; where nobody takes it and a keyword is known the schemes are asked all the
// same, for their refusal.
func (p *plan) worth(leaf int, q *question) bool {
	l := &p.leaves[leaf]
	switch {
	case q.quick && l.quick:
		return q.takers&(1<<leaf) != 0
	case l.headers == nil:
		return true
	case !q.looked:
		q.present, q.looked = p.present(q.r, q.explicit), true
	}
	return l.mask&q.present != 0
}

// present returns the mask of the plan's headers that r has; the caller knows of
// Authorization. Beyond 64 distinct
// headers bits are shared, so that a leaf may be asked in vain, never skipped.
func (p *plan) present(r *http.Request, explicit bool) (mask uint64) {
	for i, h := range p.headers {
		if h == "Authorization" && explicit || h != "Authorization" && len(r.Header[h]) > 0 {
			mask |= 1 << (i % 64)
		}
	}
	return mask
}
