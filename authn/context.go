package authn

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

type contextKey struct{}

// clientKey is the key under which stores find the client's address (see
// storage.ClientAddr). An unnamed type is the same in both packages, which do not import
// each other.
type clientKey = struct{ VestibuleClientAddr struct{} }

func stateFrom(ctx context.Context) *state {
	if s, ok := ctx.(*state); ok && s.decided {
		return s
	}
	s, _ := ctx.Value(contextKey{}).(*state)
	return s
}

// state is a request that a middleware saw, with its context. It is one allocation: the
// request that schemes and handler get, its context, and room for its lists.
type state struct {
	context.Context
	m       *Middleware
	id      *Identity   // what guards read; nil: anonymous
	decided bool        // before that the outer middleware's identity holds
	taken   atomic.Bool // lists, by a FromContext
	lists   [room]string
	r       http.Request
}

// room is how many roles and scopes together need no allocation of their own. With it a
// state fills its size class.
const room = 4

func newState(r *http.Request, m *Middleware) *state {
	s := &state{Context: r.Context(), m: m}
	s.r = *r.WithContext(s) // inlined: the copy does not escape
	return s
}

// handed is what handlers get in place of what an identity points to, so that guards read
// something that no handler can reach.
type handed struct {
	user       User
	credential any
	once       bool // by one request only
	copying    sync.Once
	own        User // what UserFrom returns in that request; set by copying
}

// owned is an identity of one request.
type owned struct {
	id     Identity
	handed handed
}

// decide ends the search for an identity.
func (s *state) decide(f *found) {
	s.decided = true
	switch {
	case f.shared != nil:
		s.id = f.shared
	case f.own.Authenticated():
		s.id = newOwned(&f.own)
	}
}

// newOwned returns a copy of id for the guards. The scheme may have its values from a table of
// its own, so handlers get no list of id, and no account where there can be a copy.
func newOwned(id *Identity) *Identity {
	o := &owned{id: *id, handed: handed{user: id.User, credential: id.Credential, once: true}}
	o.id.handed = &o.handed
	o.id.Roles, o.id.Scopes = own(id.Roles), own(id.Scopes)
	o.id.User = cloneUser(id.User)
	if c, ok := id.Credential.(interface{ CloneCredential() any }); ok {
		o.id.Credential = c.CloneCredential()
	}
	return &o.id
}

func (s *state) Value(key any) any {
	switch key.(type) {
	case contextKey:
		if s.decided {
			return s
		}
	case clientKey:
		if s.m == nil || s.m.proxies.IsZero() {
			if outer := s.Context.Value(key); outer != nil || s.m == nil {
				return outer
			}
		}
		return s.m.proxies.ClientAddr(&s.r)
	}
	return s.Context.Value(key)
}

// handOut sets id to what FromContext returns. It writes to the caller's result, since an
// Identity has 200 bytes.
func (s *state) handOut(id *Identity) {
	*id = *s.id
	h := id.handed
	if h != nil {
		id.User, id.Credential, id.handed = h.user, h.credential, nil
	}
	n, all := len(id.Roles), len(id.Roles)+len(id.Scopes)
	switch {
	case all > 0 && all <= room && s.taken.CompareAndSwap(false, true): // the first
		id.Roles, id.Scopes = within(&s.lists, id.Roles, 0, n), within(&s.lists, id.Scopes, n, all)
	default:
		id.Roles, id.Scopes = own(id.Roles), own(id.Scopes)
	}
}

// within copies a list to a part of lists and returns that part; an empty list stays nil, or
// not nil.
func within(lists *[room]string, list []string, from, to int) []string {
	if from == to {
		return list[:0:0]
	}
	part := lists[from:to:to]
	for i := range part { // one or two: copy takes longer
		part[i] = list[i]
	}
	return part
}

// user is what UserFrom returns.
func (s *state) user() User {
	h := s.id.handed
	if h != nil && h.once {
		h.copying.Do(func() {
			u, ok := copyUser(s.id.User)
			if !ok {
				u = h.user
			}
			h.own = u
		})
		return h.own
	}
	if u, ok := copyUser(s.id.User); ok || h == nil {
		return u
	}
	return h.user
}

// edited returns the name of the field of a shared identity behind which a handler changed
// something, or "".
func (id *Identity) edited() string {
	switch h := id.handed; {
	case h == nil || h.once:
		return ""
	case !reflect.DeepEqual(h.user, id.User):
		return "User"
	case !reflect.DeepEqual(h.credential, id.Credential):
		return "Credential"
	}
	return ""
}

// ForHandlers returns id with other values of User and Credential for handlers to get. It
// is for a [Sharer], which gives one identity to several requests: pass copies that share
// no memory with id, so that guards read what no handler can reach.
func (id Identity) ForHandlers(user User, credential any) Identity {
	id.handed = &handed{user: user, credential: credential}
	return id
}

// Clone returns a copy of id with lists of its own. User and Credential are copied if they
// have a method CloneUser() any or CloneCredential() any that returns a deep copy of the
// same type. Package authz calls it before it passes an identity to your permissions.
func (id Identity) Clone() Identity {
	id.handed = nil
	id.Roles, id.Scopes = own(id.Roles), own(id.Scopes)
	id.User = cloneUser(id.User)
	if c, ok := id.Credential.(interface{ CloneCredential() any }); ok {
		id.Credential = c.CloneCredential()
	}
	return id
}

// copied is Clone of an identity that others have too: what has no method for it is what
// handlers get.
func (id *Identity) copied() Identity {
	out, h := id.Clone(), id.handed
	if h == nil {
		return out
	}
	if _, ok := id.User.(interface{ CloneUser() any }); !ok {
		out.User = h.user
	}
	if _, ok := id.Credential.(interface{ CloneCredential() any }); !ok {
		out.Credential = h.credential
	}
	return out
}

func cloneUser(u User) User {
	u, _ = copyUser(u)
	return u
}

// copyUser returns a copy of an account that has CloneUser, and whether it is one.
func copyUser(u User) (User, bool) {
	c, ok := u.(interface{ CloneUser() any })
	if !ok {
		return u, false
	}
	if v := reflect.ValueOf(u); v.Kind() == reflect.Pointer && v.IsNil() {
		return u, false
	}
	copied, ok := c.CloneUser().(User)
	if !ok {
		return u, false
	}
	return copied, true
}

// own is a copy without spare capacity: appending to it makes another one. It keeps the
// difference between nil and an empty list.
func own(list []string) []string {
	if len(list) == 0 {
		return list[:0:0]
	}
	return slices.Clip(slices.Clone(list))
}
