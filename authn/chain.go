package authn

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/same"
)

// Chain calls its members in order and stops at the first member that accepts or rejects the
// credentials, or returns another error. A Chain is an [Authenticator] and can contain other
// chains. With an empty chain, every request is anonymous.
//
// If the request has an Authorization header, ambient members are called last. A member is ambient
// if it implements [Ambient], or if it reads cookies and not this header. Explicit credentials take
// precedence over ambient credentials, even if they are invalid.
//
// A member declares what it reads with [HeaderReader] or [Ambient], directly or through Unwrap. If
// the request has an Authorization header, a member without a declaration is first called without
// the request's cookies. After the other members, it is called again with the cookies, unless a
// member recognized the Authorization header.
//
// A chain that is called directly prepares itself on each call, and returns an error for a mistake
// that [Check] would report. [New] prepares the chain once.
type Chain []Authenticator

// Authenticate calls the members in order. If no member accepts the credentials, but some member
// knows their keyword, Authenticate rejects them.
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

// Check returns an error if the authenticator has one of these mistakes, on which [New] panics:
//   - a member is nil or occurs twice
//   - two members accept the same credentials
//   - a member with [AnyFormat] comes before another member of its keyword
//   - two members name different resource_metadata in their challenges
//
// Check also returns an error for an empty chain. New accepts an empty chain, which authenticates
// no request.
func Check(a Authenticator) error {
	p, err := flatten(nil, a)
	if err == nil {
		err = metadataConflict(p)
	}
	if err == nil && len(p) == 0 {
		err = errors.New("authn: Check: the chain is empty, so no request can be authenticated")
	}
	return err
}

// flatten appends the members of nested chains to leaves. It returns an error for the mistakes of
// Check.
func flatten(leaves []leaf, a Authenticator) ([]leaf, error) {
	if isNil(a) {
		return nil, fmt.Errorf("authn: chain: member %d is nil", len(leaves)+1)
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
			return nil, fmt.Errorf("authn: chain: scheme %q occurs twice", l.name)
		}
		if err := conflict(other.Authenticator, a); err != nil {
			return nil, fmt.Errorf("authn: chain: %w", err)
		}
		for _, x := range other.claims {
			for _, y := range l.claims {
				if x.overlaps(y) {
					return nil, fmt.Errorf("authn: chain: schemes %q and %q both accept %q credentials of the same format (%q, %q); give one of them another keyword or prefix",
						other.name, l.name, y.Keyword, x.Format, y.Format)
				}
				if x.Format == AnyFormat && strings.EqualFold(x.Keyword, y.Keyword) {
					return nil, fmt.Errorf("authn: chain: scheme %q accepts every remaining %q credential; put it after %q", other.name, y.Keyword, l.name)
				}
			}
		}
	}
	return append(leaves, l), nil
}

// conflict returns the error of a [ConflictFinder] among two members.
func conflict(a, b Authenticator) (err error) {
	if f, ok := AbilityOf[ConflictFinder](a); ok {
		err = f.Conflict(b)
	}
	if f, ok := AbilityOf[ConflictFinder](b); ok && err == nil {
		err = f.Conflict(a)
	}
	return err
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

// nobody is the index of no member of the chain.
const nobody = -1

// found is the identity that was found: a kept one, or one of this request.
type found struct {
	shared *Identity // nil: use own
	own    *owned    // nil: anonymous
	kept   bool      // shared was kept from an earlier request
	at     elapsed.Instant
}

// renew calls a Renewer with the values that the scheme returned. It returns an error if the
// Renewer panics. An Identity has 224 bytes, so it is copied only once.
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

// scheme returns the name of the scheme that found the identity.
func (f *found) scheme() string {
	if f.shared != nil {
		return f.shared.Scheme
	}
	return f.own.id.Scheme
}

// names returns Identity.names of the identity.
func (f *found) names() Identity {
	if f.shared != nil {
		return f.shared.names()
	}
	return f.own.id.names()
}

// handOut returns a copy of the identity for callers outside of the middleware.
func (f *found) handOut() Identity {
	switch {
	case f.shared == nil && f.own == nil:
		return Identity{}
	case f.shared == nil:
		return f.own.id.Clone() // the scheme may still use its values
	}
	return f.shared.copied()
}

// authenticate calls the members and sets f. If it returns an error, f is unchanged. by is the
// index of the member that decided.
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
		if !p.worth(i, &q) || unrecognizedErr != nil && (l.elsewhere || again) && !l.sharesHeaders(&p.leaves[unrecognizedBy]) {
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

// refusalOf returns the rejection for unrecognized credentials.
func refusalOf(err error) error {
	var u *unrecognized
	if errors.As(err, &u) && u.refusal != nil {
		return u.refusal
	}
	return AuthenticationFailed("Invalid token.").WithCause(errShape)
}

var errShape = errors.New("known keyword, unknown format")

var errNoIdentity = errors.New("authn: the scheme accepted credentials but returned no identity")
