package authn

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// contextKey finds the state of a request that is decided, seenKey that of any request.
type (
	contextKey struct{}
	seenKey    struct{}
)

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
	own     bool        // its endpoint checks a credential itself: see AdmitOwn
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
	once       bool // by one request only: copying sets user and credential
	copying    sync.Once
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
	case f.own != nil:
		s.id = &f.own.id
	}
}

// newOwned returns id for the guards. They read what the scheme returned, which may be from a
// table of its own, so handlers get no list of id, and no account where there can be a copy.
func newOwned(id *Identity) *owned {
	o := &owned{id: *id}
	o.handed.once = true
	o.id.handed, o.id.mark = &o.handed, nil
	return o
}

// handlers returns what handlers get of the identity id.
func (h *handed) handlers(id *Identity) (User, any) {
	if h.once {
		h.copying.Do(func() {
			h.user, _ = copyUser(id.User)
			h.credential, _ = copyCredential(id.Credential)
		})
	}
	return h.user, h.credential
}

func (s *state) Value(key any) any {
	switch key.(type) {
	case contextKey:
		if s.decided {
			return s
		}
	case seenKey:
		return s
	case clientKey:
		if s.m == nil || s.m.proxies.IsZero() {
			if outer := s.Context.Value(key); outer != nil || s.m == nil {
				return outer
			}
		}
		return s.m.proxies.addr(&s.r)
	}
	return s.Context.Value(key)
}

// handOut sets id to what FromContext returns. It writes to the caller's result, since an
// Identity has 208 bytes.
func (s *state) handOut(id *Identity) {
	*id = *s.id
	if h := id.handed; h != nil {
		id.User, id.Credential = h.handlers(s.id)
		id.handed = nil
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
		u, _ := h.handlers(s.id)
		return u
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

// Clone returns a copy of id with lists of its own. User and Credential are copied if they
// have a method CloneUser() any or CloneCredential() any that returns a deep copy of the
// same type. Package authz calls it before it passes an identity to your permissions.
func (id Identity) Clone() Identity {
	id.handed, id.mark = nil, nil
	id.Roles, id.Scopes = own(id.Roles), own(id.Scopes)
	id.User = cloneUser(id.User)
	id.Credential, _ = copyCredential(id.Credential)
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

// keptUser returns a copy of an account that permissions of several requests can read; false
// if there can be none. An account with a method KeptUser() any has a rule of its own for that:
// storage.Account reads its permissions for each request then.
func keptUser(u User) (User, bool) {
	if k, ok := u.(interface{ KeptUser() any }); ok && !isNilPointer(u) {
		if kept, ok := k.KeptUser().(User); ok && reflect.TypeOf(kept) == reflect.TypeOf(u) {
			return kept, true
		}
	}
	if copied, ok := copyUser(u); ok {
		return copied, true
	}
	return u, u == nil || immutable(reflect.TypeOf(u))
}

// keptCredential is keptUser for Identity.Credential.
func keptCredential(v any) (any, bool) {
	if copied, ok := copyCredential(v); ok {
		return copied, true
	}
	return v, v == nil || immutable(reflect.TypeOf(v))
}

// copyCredential returns a copy of a value that has CloneCredential, and whether it is one.
func copyCredential(v any) (any, bool) {
	c, ok := v.(interface{ CloneCredential() any })
	if !ok || isNilPointer(v) {
		return v, false
	}
	if copied := c.CloneCredential(); reflect.TypeOf(copied) == reflect.TypeOf(v) {
		return copied, true
	}
	return v, false // promoted from an embedded record: not a copy of v
}

// immutable reports whether nobody who has a value of that type can change another one's.
func immutable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	case reflect.Array:
		return immutable(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !immutable(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}

func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
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
	if isNilPointer(u) {
		return u, false
	}
	copied, ok := c.CloneUser().(User)
	if !ok || reflect.TypeOf(copied) != reflect.TypeOf(u) {
		return u, false // promoted from an embedded account: not a copy of u
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
