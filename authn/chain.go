package authn

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/same"
)

// Chain asks its members in order and stops at the first that accepts, refuses
// or cannot tell. It is itself an Authenticator and may nest. An empty chain
// authenticates nobody.
//
// If the request has an Authorization header, members that read cookies, or are
// Ambient, and do not read that header are called after the others: an explicit
// credential beats an ambient one, good or bad. A member that does not declare what it reads
// ([HeaderReader], [Ambient], also through Unwrap) is called without the cookies of such a request,
// and again with them after the others, unless one of those recognized the Authorization.
//
// A chain that is called directly prepares itself on each call, and answers a
// mistake that Check would report with a fault; New prepares it once.
type Chain []Authenticator

// Authenticate asks the members in order. A credential under a keyword that some
// member knows, and that none takes, is refused.
func (c Chain) Authenticate(r *http.Request) (Identity, error) {
	leaves, err := flatten(nil, c)
	if err != nil {
		return Identity{}, err
	}
	var f found
	if _, err = newPlan(leaves).authenticate(r, nil, &f); err != nil {
		return Identity{}, err
	}
	return f.handOut(), nil
}

// Check reports why a would be a mistake: a nil member, the same member twice,
// two members that accept the same credentials, one that takes what is
// left (Rest) before another, or two that name different resource_metadata in their
// challenges. New panics on what
// Check reports. An empty chain is no error for New, since it lets nobody in, but
// Check reports it: nobody wants one.
func Check(a Authenticator) error {
	p, err := flatten(nil, a)
	if err == nil {
		err = metadataConflict(p)
	}
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
		if same.Value(a, other.Authenticator) {
			return nil, fmt.Errorf("authn: scheme %q is in the chain twice", l.name)
		}
		for _, x := range other.claims {
			for _, y := range l.claims {
				if x.overlaps(y) {
					return nil, fmt.Errorf("authn: schemes %q and %q both accept %q credentials of the same format (%q, %q): give one another keyword or prefix",
						other.name, l.name, y.Keyword, x.Format, y.Format)
				}
				if x.Format == AnyFormat && strings.EqualFold(x.Keyword, y.Keyword) {
					return nil, fmt.Errorf("authn: scheme %q takes whatever is left under %q and stands before %q: put it behind", other.name, y.Keyword, l.name)
				}
			}
		}
	}
	return append(leaves, l), nil
}

func (c CredentialFormat) overlaps(d CredentialFormat) bool {
	if !strings.EqualFold(c.Keyword, d.Keyword) {
		return false
	}
	return c.Format == "" || d.Format == "" || strings.HasPrefix(c.Format, d.Format) || strings.HasPrefix(d.Format, c.Format)
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

// nobody is the index of no leaf.
const nobody = -1

// found is an identity: one that is kept, or one of this request.
type found struct {
	shared *Identity // nil: own
	own    *owned    // nil: nobody
}

// renew calls a Renewer with the scheme's own values. A panic is an error. An Identity has 208
// bytes, so it is copied only once.
func (f *found) renew(rn Renewer, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newPanic(v)
		}
	}()
	if f.shared == nil {
		id := f.own.id
		id.handed = nil
		return rn.Renew(w, r, id)
	}
	id := *f.shared
	id.handed = nil
	return rn.Renew(w, r, id)
}

// scheme is the name of the scheme that found the identity.
func (f *found) scheme() string {
	if f.shared != nil {
		return f.shared.Scheme
	}
	return f.own.id.Scheme
}

// names is Identity.names of the identity that was found.
func (f *found) names() Identity {
	if f.shared != nil {
		return f.shared.names()
	}
	return f.own.id.names()
}

// handOut is what callers outside of the middleware get.
func (f *found) handOut() Identity {
	switch {
	case f.shared == nil && f.own == nil:
		return Identity{}
	case f.shared == nil:
		return f.own.id.Clone() // a scheme may have its values from a table of its own
	}
	return f.shared.copied()
}

// authenticate asks the leaves and sets f, which is what it was where err is not nil. by is
// the index of the leaf that decided.
func (p *plan) authenticate(r *http.Request, t *tracer, f *found) (by int, err error) {
	by = nobody
	defer func() {
		if v := recover(); v != nil {
			err = newPanic(v)
			t.step(p.name(by), err)
		}
	}()
	order, lines := p.inOrder, r.Header["Authorization"]
	switch len(lines) {
	case 0:
	case 1:
		order = p.explicit
	default:
		return nobody, errSeveralHeaders
	}
	q := question{r: r, explicit: len(lines) > 0}
	both := q.explicit && p.both != nil && len(r.Header["Cookie"]) > 0
	if both {
		order = p.both
	}
	if q.explicit && len(p.claimed) > 0 && t == nil {
		known := false
		q.takers, known = p.takers(lines[0])
		q.quick = q.takers != 0 || !known
	}
	unrecognizedBy, unrecognizedErr := nobody, error(nil)
	for n, i := range order {
		l := &p.leaves[i]
		again := both && n >= p.cookiesFrom // with its cookies
		if !p.worth(i, &q) || unrecognizedErr != nil && (l.elsewhere || again) {
			t.skip(l.name)
			continue
		}
		by = i
		switch {
		case both && l.unknown && !again:
			err = p.askWithoutCookies(l, r, f)
		case l.keeper != nil && p.table != nil:
			err = p.askKeeper(l, r, f)
		default:
			_, err = l.ask(r, f)
		}
		t.step(l.name, err)
		switch {
		case err == nil:
			return i, nil
		case err == ErrNoCredentials:
		case !isAbsent(err):
			return i, err
		case unrecognizedErr == nil && errors.Is(err, ErrUnrecognized):
			unrecognizedBy, unrecognizedErr = i, err
		}
	}
	if unrecognizedErr != nil {
		return unrecognizedBy, refusalOf(unrecognizedErr)
	}
	return nobody, ErrNoCredentials
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
	return AuthenticationFailed("Invalid token.").WithCause(errShape)
}

var errShape = errors.New("its keyword is known, its shape is not")

var errNoIdentity = errors.New("authn: the scheme accepted a credential and named nobody")
