package oauthtest

import (
	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// The types of a whole authorization server, under names that the tests of all its packages use.
type (
	Options      = oauth2.Options
	Server       = oauth2.Server
	OpenID       = oauth2.OpenID
	DPoP         = oauth2.DPoP
	Registration = oauth2.Registration
	Endpoints    = oauth2.Endpoints
	Limits       = oauth2.Limits
	Cell         = oauth2.Cell
	Event        = oauth2.Event
)

// New returns a whole server.
func New(issuer string, store oauth2.Store, o *Options) (*Server, error) {
	return oauth2.New(issuer, store, o)
}

// Scheme accepts access tokens.
type Scheme interface {
	authn.Authenticator
	authn.Challenger
	Claims() []authn.Claim
}

// SchemeOf returns the scheme that accepts the access tokens of a server.
func SchemeOf(s *Server) Scheme { return s }

// Scheme returns the scheme of the world's server.
func (w *World) Scheme() Scheme { return SchemeOf(w.Server) }
