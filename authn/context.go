package authn

import (
	"context"
	"time"
)

type contextKey struct{}

// carrier is what FromContext looks for.
type carrier interface {
	identity() Identity
	user() User
	middleware() *Middleware
}

func stateFrom(ctx context.Context) carrier {
	c, _ := ctx.Value(contextKey{}).(carrier)
	return c
}

// newContext leaves an identity and m on a context. It allocates once: the context that
// it returns holds the identity itself, or points to the one that others have too.
func newContext(ctx context.Context, m *Middleware, f *found) context.Context {
	if f.shared != nil {
		return &sharing{ctx, m, f.shared}
	}
	id := &f.own
	if !id.Authenticated() {
		return &anonymous{ctx, m}
	}
	return &state{
		Context: ctx, m: m,
		subject: id.Subject, client: id.Client, issuer: id.Issuer, scheme: id.Scheme,
		roles: id.Roles, scopes: id.Scopes, account: id.User, credential: id.Credential,
		authSec: id.AuthTime.Unix(), authNsec: uint32(id.AuthTime.Nanosecond()),
		expSec: id.Expires.Unix(), expNsec: uint32(id.Expires.Nanosecond()),
	}
}

// sharing is the context of an identity that a Sharer keeps.
type sharing struct {
	context.Context
	m  *Middleware
	id *Identity
}

// anonymous is the context of a request without an identity.
type anonymous struct {
	context.Context
	m *Middleware
}

// state is the context of an identity. Its 192 bytes and the copy of the request
// that net/http needs are the middleware's two allocations and 512 bytes; times
// are kept as seconds and nanoseconds, in UTC, to stay within that.
type state struct {
	context.Context
	m                 *Middleware
	subject, client   string
	issuer, scheme    string
	roles, scopes     []string
	account           User
	credential        any
	authSec, expSec   int64
	authNsec, expNsec uint32
}

func (a *anonymous) Value(key any) any {
	if key == (contextKey{}) {
		return a
	}
	return a.Context.Value(key)
}

func (s *sharing) Value(key any) any {
	if key == (contextKey{}) {
		return s
	}
	return s.Context.Value(key)
}

func (s *sharing) identity() Identity      { return *s.id }
func (s *sharing) user() User              { return s.id.User }
func (s *sharing) middleware() *Middleware { return s.m }

func (a *anonymous) identity() Identity      { return Identity{} }
func (a *anonymous) user() User              { return nil }
func (a *anonymous) middleware() *Middleware { return a.m }

func (s *state) Value(key any) any {
	if key == (contextKey{}) {
		return s
	}
	return s.Context.Value(key)
}

func (s *state) identity() Identity {
	return Identity{
		Subject: s.subject, Client: s.client, Issuer: s.issuer, Scheme: s.scheme,
		Roles: s.roles, Scopes: s.scopes, User: s.account, Credential: s.credential,
		AuthTime: time.Unix(s.authSec, int64(s.authNsec)).UTC(),
		Expires:  time.Unix(s.expSec, int64(s.expNsec)).UTC(),
	}
}

func (s *state) user() User              { return s.account }
func (s *state) middleware() *Middleware { return s.m }
