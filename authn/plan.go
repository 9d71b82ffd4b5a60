package authn

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/vestibule-auth/vestibule/observe"
)

// leaf is one scheme of a chain, with the interfaces that it implements.
type leaf struct {
	Authenticator
	name       string
	claims     []CredentialFormat
	challenger Challenger // or nil
	renewer    Renewer    // or nil
	headers    []string   // nil: called for every request
	mask       uint64     // of headers, as bits of plan.headers
	reads      []string   // headers that it or the decorated scheme declares; nil: unknown
	keeper     Keeper     // nil: identities are not kept
	safeOnly   bool       // use kept identities only for safe requests
	elsewhere  bool       // its credentials are known not to be in Authorization
	unknown    bool       // declares nothing, so it may read cookies
	quick      bool       // only called for its declared formats: see plan.takers
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
		l.keeper, _ = a.(Keeper) // not through a decorator, which may change the identity
	}
	if h, ok := a.(HeaderReader); ok { // not through a decorator, which may read more headers
		l.headers = h.Headers()
	}
	if h, ok := AbilityOf[HeaderReader](a); ok {
		l.reads = h.Headers()
	}
	l.unknown = l.reads == nil && !l.isAmbient()
	l.elsewhere = !l.unknown && !slices.Contains(l.reads, "Authorization")
	// Browsers attach such credentials to requests from any site, so only Authenticate can accept a
	// request that changes something. A scheme that declares nothing may read such credentials.
	l.safeOnly = l.reads == nil || slices.Contains(l.reads, "Cookie") || l.isAmbient()
	return l
}

// ambient reports whether the scheme's credentials are not in Authorization and are added to
// requests automatically.
func (l *leaf) ambient() bool {
	return l.elsewhere && (l.isAmbient() || slices.Contains(l.reads, "Cookie"))
}

// sharesHeaders reports whether both schemes read the same headers, and not Authorization, so that
// credentials that one of them does not recognize may be the other's.
func (l *leaf) sharesHeaders(other *leaf) bool {
	return l.elsewhere && other.elsewhere && len(l.headers) > 0 && !slices.Contains(l.headers, "Cookie") && slices.Equal(l.headers, other.headers)
}

// isAmbient reports whether the scheme declares itself ambient.
func (l *leaf) isAmbient() bool {
	a, ok := AbilityOf[Ambient](l.Authenticator)
	return ok && a.Ambient()
}

// plan is a prepared chain: its schemes, the order of calls, and the headers that the schemes read,
// so that one look at a request selects the schemes to call.
type plan struct {
	leaves      []leaf
	headers     []string // distinct; bit i of a mask is headers[i]
	explicit    []int    // order of calls with Authorization: ambient schemes last
	inOrder     []int    // order of calls otherwise
	both        []int    // order of calls with Authorization and cookies; nil: no leaf is unknown
	cookiesFrom int      // from this index in both, an unknown leaf gets the cookies
	cookies     bool     // some leaf reads cookies
	claimed     []claimed
	table       *Table         // nil: no identities are kept
	proxies     TrustedProxies // for the client address of guesses
	sink        *observe.Sink  // nil: none
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

// question holds what selects the schemes to call for a request.
type question struct {
	r        *http.Request
	explicit bool   // it has an Authorization header
	quick    bool   // declared formats select the leaves that are quick
	takers   uint64 // the selected leaves: see plan.takers
	looked   bool   // present is set
	present  uint64 // the plan's headers that the request has
}

// worth reports whether to call a scheme. If declared formats match the credentials, only these
// schemes are called. If none matches but a scheme knows the keyword, all schemes are called, so
// that one can reject the credentials.
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

// present returns the mask of the plan's headers that r has. The caller knows whether Authorization
// is present. With more than 64 distinct headers, bits are shared, so a scheme may be called in
// vain but is never skipped by mistake.
func (p *plan) present(r *http.Request, explicit bool) (mask uint64) {
	for i, h := range p.headers {
		if h == "Authorization" && explicit || h != "Authorization" && len(r.Header[h]) > 0 {
			mask |= 1 << (i % 64)
		}
	}
	return mask
}
