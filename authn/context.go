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

// clientKey is the key under which stores find the client address (see storage.ClientAddr). The two
// packages do not import each other. They share the key because an unnamed type is identical in
// both.
type clientKey = struct{ VestibuleClientAddr struct{} }

func stateFrom(ctx context.Context) *state {
	if s, ok := ctx.(*state); ok && s.decided {
		return s
	}
	s, _ := ctx.Value(contextKey{}).(*state)
	return s
}

// state is a request that a middleware received, with its context. It is one allocation for the
// request that schemes and handlers get, its context, and space for its lists.
type state struct {
	context.Context
	m       *Middleware
	id      *Identity     // read by guards; nil: anonymous
	decided bool          // until then the outer middleware's identity applies
	own     bool          // its endpoint checks credentials itself: see AdmitOwn
	flags   atomic.Uint32 // takenFlag, storedFlag
	lists   [room]string
	r       http.Request
}

// room is the number of roles and scopes that need no allocation. With 4, a state fills its size
// class.
const room = 4

func newState(r *http.Request, m *Middleware) *state {
	s := &state{Context: r.Context(), m: m}
	s.r = *r.WithContext(s) // inlined: the copy does not escape
	return s
}

// handed holds the values that handlers get instead of the ones that guards read, so that no
// handler can change what guards read.
type handed struct {
	user       User
	credential any
	once       bool // used by one request only; copying sets user and credential
	copying    sync.Once
}

// owned is an identity of one request.
type owned struct {
	id     Identity
	handed handed
}

// decide sets the identity of the request. f is empty if it is anonymous.
func (s *state) decide(f *found) {
	s.decided = true
	switch {
	case f.shared != nil:
		s.id = f.shared
	case f.own != nil:
		s.id = &f.own.id
	}
}

// newOwned returns id for the guards. They read the values that the scheme returned, and the scheme
// may still use these values. Handlers get copies of the lists, and of the account if it can be
// copied.
func newOwned(id *Identity) *owned {
	o := &owned{id: *id}
	o.handed.once = true
	o.id.handed, o.id.mark = &o.handed, nil
	return o
}

// handlers returns the user and credential for handlers.
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
	case storedKey:
		if s.m != nil && s.m.sink != nil && !s.decided {
			return s
		}
	}
	return s.Context.Value(key)
}

// handOut sets id to the result of FromContext. It writes to the caller's variable, because an
// Identity has 272 bytes.
func (s *state) handOut(id *Identity) {
	*id = *s.id
	if h := id.handed; h != nil {
		id.User, id.Credential = h.handlers(s.id)
		id.handed = nil
	}
	if len(id.AMR) > 0 {
		id.AMR = own(id.AMR)
	}
	n, all := len(id.Roles), len(id.Roles)+len(id.Scopes)
	switch {
	case all > 0 && all <= room && s.flags.Or(takenFlag)&takenFlag == 0: // the first call
		id.Roles, id.Scopes = within(&s.lists, id.Roles, 0, n), within(&s.lists, id.Scopes, n, all)
	default:
		id.Roles, id.Scopes = own(id.Roles), own(id.Scopes)
	}
}

// within copies a list into a part of lists and returns that part. An empty list stays nil or
// non-nil.
func within(lists *[room]string, list []string, from, to int) []string {
	if from == to {
		return list[:0:0]
	}
	part := lists[from:to:to]
	for i := range part { // faster than copy for one or two elements
		part[i] = list[i]
	}
	return part
}

// user returns the result of UserFrom.
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

// edited returns the name of the field of a shared identity that a handler changed through a
// pointer, or "".
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

// Clone returns a copy of id with its own lists. User and Credential are copied only if they have a
// method CloneUser() any or CloneCredential() any that returns a deep copy of the same type.
// Package authz calls Clone before it passes an identity to your permissions.
func (id Identity) Clone() Identity {
	id.handed, id.mark = nil, nil
	id.Roles, id.Scopes, id.AMR = own(id.Roles), own(id.Scopes), own(id.AMR)
	id.User = cloneUser(id.User)
	id.Credential, _ = copyCredential(id.Credential)
	return id
}

// copied is Clone for a shared identity. A value that cannot be cloned is replaced by the value for
// handlers.
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

// keptUser returns a copy of an account that permissions of several requests can read, or false if
// there is none. An account with a method KeptUser() any decides itself: storage.Account then loads
// its permissions for each request.
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

// copyCredential returns a copy of v and true if v has a CloneCredential method that returns its
// type.
func copyCredential(v any) (any, bool) {
	c, ok := v.(interface{ CloneCredential() any })
	if !ok || isNilPointer(v) {
		return v, false
	}
	if copied := c.CloneCredential(); reflect.TypeOf(copied) == reflect.TypeOf(v) {
		return copied, true
	}
	return v, false // promoted from an embedded type: not a copy of v
}

// immutable reports whether values of the type share no memory, so that changing one changes no
// other.
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

// copyUser returns a copy of u and true if u has a CloneUser method that returns its type.
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
		return u, false // promoted from an embedded type: not a copy of u
	}
	return copied, true
}

// own returns a copy without spare capacity, so that append allocates. A nil list stays nil, and an
// empty list stays non-nil.
func own(list []string) []string {
	if len(list) == 0 {
		return list[:0:0]
	}
	return slices.Clip(slices.Clone(list))
}
