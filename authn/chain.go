package authn

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// Chain asks its members in order and stops at the first that accepts, refuses
// or can not tell. It is itself an Authenticator and may nest. An empty chain
// authenticates nobody.
//
// Where the request has an Authorization header, members that read cookies, or are
// Ambient, and do not read that header are asked after the others: an explicit
// credential beats an ambient one, good or bad (RULES C2).
//
// A chain that is called directly prepares itself on each call, and answers a
// mistake that Check would report with a fault; New prepares it once.
type Chain []Authenticator

// Authenticate asks the members in order. A credential under a keyword that some
// member knows, and that none takes, is refused (RULES C1).
func (c Chain) Authenticate(r *http.Request) (Identity, error) {
	leaves, err := flatten(nil, c)
	if err != nil {
		return Identity{}, err
	}
	id, _, err := newPlan(leaves).authenticate(r, nil)
	return id, err
}

// Check reports why a would be a mistake: a nil member, the same member twice,
// two members that claim the same credentials (RULES C1), or one that takes what is
// left (Rest) before another. New panics on what
// Check reports. An empty chain is no error for New, since it lets nobody in, but
// Check reports it: nobody wants one.
func Check(a Authenticator) error {
	p, err := flatten(nil, a)
	if err == nil && len(p) == 0 {
		err = errors.New("authn: the chain is empty, so nobody can be authenticated")
	}
	return err
}

// flatten lists the leaves of nested chains and finds mistakes.
func flatten(leaves []leaf, a Authenticator) ([]leaf, error) {
	if isNil(a) {
		return nil, fmt.Errorf("authn: member %d of the chain is nil", len(leaves)+1)
	}
	if c, ok := a.(Chain); ok {
		for _, m := range c {
			var err error
			if leaves, err = flatten(leaves, m); err != nil {
				return nil, err
			}
		}
		return leaves, nil
	}
	l := newLeaf(a)
	for _, other := range leaves {
		if same(a, other.Authenticator) {
			return nil, fmt.Errorf("authn: scheme %q is in the chain twice", l.name)
		}
		for _, x := range other.claims {
			for _, y := range l.claims {
				if x.overlaps(y) {
					return nil, fmt.Errorf("authn: schemes %q and %q both claim %q credentials of the same shape (%q, %q): give one another keyword or prefix",
						other.name, l.name, y.Keyword, x.Shape, y.Shape)
				}
				if x.Shape == Rest && strings.EqualFold(x.Keyword, y.Keyword) {
					return nil, fmt.Errorf("authn: scheme %q takes whatever is left under %q and stands before %q: put it behind", other.name, y.Keyword, l.name)
				}
			}
		}
	}
	return append(leaves, l), nil
}

func (c Claim) overlaps(d Claim) bool {
	if !strings.EqualFold(c.Keyword, d.Keyword) {
		return false
	}
	return c.Shape == "" || d.Shape == "" || strings.HasPrefix(c.Shape, d.Shape) || strings.HasPrefix(d.Shape, c.Shape)
}

func isNil(a Authenticator) bool {
	if a == nil {
		return true
	}
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Interface, reflect.Chan:
		return v.IsNil()
	}
	return false
}

func same(a, b Authenticator) bool {
	t := reflect.TypeOf(a)
	return t == reflect.TypeOf(b) && t.Comparable() && a == b
}

// leaf is one scheme of a chain with its abilities looked up.
type leaf struct {
	Authenticator
	name       string
	claims     []Claim
	challenger Challenger // nil: has none
	renewer    Renewer    // nil: has none
	headers    []string   // nil: asked for every request
	mask       uint64     // of its headers, in plan.headers
	reads      []string   // its headers as it says, or what it decorates; nil: unknown
	quick      bool       // only asked for what its claims say: see plan.taker
}

func newLeaf(a Authenticator) leaf {
	l := leaf{Authenticator: a, name: fmt.Sprintf("%T", a)}
	if n, ok := As[Namer](a); ok {
		l.name = n.Name()
	}
	if c, ok := As[Claimer](a); ok {
		l.claims = c.Claims()
	}
	l.challenger, _ = As[Challenger](a)
	l.renewer, _ = As[Renewer](a)
	if h, ok := a.(HeaderReader); ok { // not through a decorator: it may read more
		l.headers = h.Headers()
	}
	if h, ok := As[HeaderReader](a); ok {
		l.reads = h.Headers()
	}
	return l
}

// ambient reports whether the leaf's credential is not in Authorization and comes
// without the doing of who makes the request.
func (l *leaf) ambient() bool {
	if a, ok := As[Ambient](l.Authenticator); ok && a.Ambient() {
		return l.elsewhere()
	}
	return slices.Contains(l.reads, "Cookie") && l.elsewhere()
}

// elsewhere reports whether the leaf's credential is known not to be in
// Authorization.
func (l *leaf) elsewhere() bool {
	return l.reads != nil && !slices.Contains(l.reads, "Authorization")
}

// plan is a chain made ready: its leaves in the order of asking, and the headers
// they look at, so that one look at a request decides whom to ask.
type plan struct {
	leaves   []leaf
	headers  []string // distinct, bit i of a mask is headers[i]
	explicit []int    // order of asking where Authorization is present: ambient schemes last
	inOrder  []int    // order of asking otherwise
	cookies  bool     // some leaf reads cookies: browsers come here
	claimed  []claimed
}

// claimed is what the claims of a chain say of one keyword: who takes what begins so. Of
// two that could be meant none begins as the other does (RULES C1).
type claimed struct {
	keyword string
	begins  []string
	leaf    []int
}

func newPlan(leaves []leaf) *plan {
	p := &plan{leaves: leaves}
	var last []int
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
		if l.claimsAll() {
			l.quick = true
			p.claim(i, l.claims)
		}
		if l.ambient() {
			last = append(last, i)
		} else {
			p.explicit = append(p.explicit, i)
		}
		p.cookies = p.cookies || slices.Contains(l.reads, "Cookie")
	}
	p.explicit = append(p.explicit, last...)
	return p
}

// claimsAll reports whether the leaf's claims say of every credential that it takes how
// it begins.
func (l *leaf) claimsAll() bool {
	return len(l.claims) > 0 && len(l.headers) == 1 && l.headers[0] == "Authorization" &&
		!slices.ContainsFunc(l.claims, func(c Claim) bool { return c.Begins == "" })
}

func (p *plan) claim(leaf int, claims []Claim) {
	for _, c := range claims {
		i := slices.IndexFunc(p.claimed, func(k claimed) bool { return strings.EqualFold(k.keyword, c.Keyword) })
		if i < 0 {
			i = len(p.claimed)
			p.claimed = append(p.claimed, claimed{keyword: c.Keyword})
		}
		p.claimed[i].begins = append(p.claimed[i].begins, c.Begins)
		p.claimed[i].leaf = append(p.claimed[i].leaf, leaf)
	}
}

// taker returns the leaf whose claim an Authorization is, or nobody; known says that some
// claim has its keyword.
func (p *plan) taker(line string) (leaf int, known bool) {
	for i := range p.claimed {
		k := &p.claimed[i]
		rest, ok := cutKeyword(line, k.keyword)
		if !ok {
			continue
		}
		for rest != "" && isSpace(rest[0]) {
			rest = rest[1:]
		}
		for j, begins := range k.begins {
			if strings.HasPrefix(rest, begins) {
				return k.leaf[j], true
			}
		}
		return nobody, true
	}
	return nobody, false
}

// present returns the mask of the plan's headers that r has. Beyond 64 distinct
// headers bits are shared, so that a leaf may be asked in vain, never skipped.
func (p *plan) present(r *http.Request) (mask uint64) {
	for i, h := range p.headers {
		if len(r.Header[h]) > 0 {
			mask |= 1 << (i % 64)
		}
	}
	return mask
}

// nobody is the index of no leaf.
const nobody = -1

// authenticate asks the leaves. by is the index of the leaf that decided.
func (p *plan) authenticate(r *http.Request, t *tracer) (id Identity, by int, err error) {
	by = nobody
	defer func() {
		if v := recover(); v != nil {
			id, err = Identity{}, newPanic(v)
			t.step(p.name(by), err)
		}
	}()
	order := p.inOrder
	switch len(r.Header["Authorization"]) {
	case 0:
	case 1:
		order = p.explicit
	default:
		return Identity{}, nobody, errSeveralHeaders
	}
	present := p.present(r)
	// The claims tell whom to ask, if it is one that takes the credential. Where it is
	// nobody and a keyword is known the schemes are asked all the same, for their refusal.
	only, quick := nobody, false
	if lines := r.Header["Authorization"]; len(lines) == 1 && len(p.claimed) > 0 && t == nil {
		known := false
		only, known = p.taker(lines[0])
		quick = only != nobody || !known
	}
	unrecognizedBy, unrecognizedErr := nobody, error(nil)
	for _, i := range order {
		l := &p.leaves[i]
		if quick && l.quick && i != only {
			continue
		}
		if l.mask&present == 0 && l.headers != nil || unrecognizedErr != nil && l.elsewhere() {
			t.skip(l.name)
			continue
		}
		by = i
		id, err = l.Authenticate(r)
		if err == nil && !id.Authenticated() {
			err = errNoIdentity
		}
		t.step(l.name, err)
		switch {
		case err == nil:
			if id.Scheme == "" {
				id.Scheme = l.name
			}
			if id.Client != "" && id.Scopes == nil {
				id.Scopes = []string{}
			}
			return id, i, nil
		case err == ErrNoCredentials:
		case !isAbsent(err):
			return Identity{}, i, err
		case unrecognizedErr == nil && errors.Is(err, ErrUnrecognized):
			unrecognizedBy, unrecognizedErr = i, err
		}
	}
	if unrecognizedErr != nil {
		return Identity{}, unrecognizedBy, refusalOf(unrecognizedErr)
	}
	return Identity{}, nobody, ErrNoCredentials
}

func (p *plan) name(i int) string {
	if i == nobody {
		return ""
	}
	return p.leaves[i].name
}

// refusalOf is how an unrecognized credential is refused.
func refusalOf(err error) error {
	var u *unrecognized
	if errors.As(err, &u) && u.refusal != nil {
		return u.refusal
	}
	return AuthenticationFailed("Invalid token.").With(errShape)
}

var errShape = errors.New("its keyword is known, its shape is not")

var errNoIdentity = errors.New("authn: the scheme accepted a credential and named nobody")
