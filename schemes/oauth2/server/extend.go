package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Extension is what another package adds to a server, as packages openid, registration and
// consent do. The server calls it, and imports none of them.
type Extension struct {
	// Scopes are supported too. Options.Scopes may have descriptions of their own for them.
	Scopes map[string]string
	// IgnoredScopes are those that every client may request and that grant nothing, unless
	// Options.Scopes has them.
	IgnoredScopes []string
	// IDTokens issues ID tokens beside access tokens. A server has at most one.
	IDTokens IDTokens
	// Metadata returns a struct or map whose members are added to the metadata.
	Metadata func(context.Context) (any, error)
	// Registration is the path of the registration endpoint, for the metadata.
	Registration string
	// Routes are added to those of Server.Routes.
	Routes []Route
}

// IDTokens issues and reads ID tokens.
type IDTokens interface {
	// Requested reports whether a grant with these scopes comes with an ID token.
	Requested(scopes []string) bool
	// Claims returns what the ID token of a user with these scopes says beyond the protocol's own
	// claims. It is called outside of a transaction, and may ask other servers.
	Claims(ctx context.Context, u storage.User, scopes []string) (map[string]any, error)
	// IDToken returns the ID token of a grant for which Requested was true. It is called within a
	// transaction, so it must not wait for anything.
	IDToken(ctx context.Context, g Grant) (string, error)
	// ReadHint reads an "id_token_hint". The error is an *oauth2.Error if it is not valid.
	ReadHint(ctx context.Context, text string) (Hint, error)
}

// Grant is what an ID token is issued for.
type Grant struct {
	Family storage.Family
	// Claims are what IDTokens.Claims returned.
	Claims map[string]any
	// Session is the session in which the user granted it; "" if it is not known.
	Session string
	// Nonce is that of the authorization request; Access is the access token.
	Nonce, Access string
}

// Hint is what an ID token says that somebody sends back (OpenID Connect Core, section 3.1.2.1).
type Hint struct {
	Client, Subject, Session string
	// Issued is when the ID token was issued ("iat").
	Issued time.Time
}

// IsOf reports whether the ID token was issued to that client. One from before the client was created
// belongs to an earlier client with the same ID, which was deleted.
func (h Hint) IsOf(c storage.Client) bool {
	return h.Client == c.ID && !h.Issued.Before(c.Created.Truncate(time.Second)) // "iat" is in seconds
}

// Extend adds an extension. Call it while you construct the server, before the first request:
// it is not safe for concurrent use.
func (s *Server) Extend(e Extension) error {
	x := &s.extended
	switch {
	case e.IDTokens != nil && x.IDTokens != nil:
		return errors.New("server: Extend: the server issues ID tokens already")
	case e.Metadata != nil && x.Metadata != nil:
		return errors.New("server: Extend: the metadata are extended already")
	case e.Registration != "" && x.Registration != "":
		return errors.New("server: Extend: the server has a registration endpoint already")
	}
	if err := checkScopes(e.Scopes); err != nil {
		return err
	}
	for name, description := range e.Scopes {
		if s.opts.Scopes[name] == "" {
			s.opts.Scopes[name] = description
		}
	}
	s.scopes = slices.Sorted(maps.Keys(s.opts.Scopes))
	x.IgnoredScopes = append(x.IgnoredScopes, e.IgnoredScopes...)
	x.Routes = append(x.Routes, e.Routes...)
	if e.IDTokens != nil {
		x.IDTokens = e.IDTokens
	}
	if e.Metadata != nil {
		x.Metadata = e.Metadata
	}
	if e.Registration != "" {
		x.Registration = e.Registration
	}
	return nil
}

// Scheme returns the scheme that accepts the server's access tokens.
func (s *Server) Scheme() *oauth2.Scheme { return s.api }

// Store returns the server's store.
func (s *Server) Store() Store { return s.store }

// Options returns the options with the defaults filled in. Do not modify its lists and maps.
func (s *Server) Options() Options { return s.opts }

// Now returns the time of the server's clock, as every store keeps it.
func (s *Server) Now() time.Time { return s.now() }

// NewText returns a new secret of 256 bits with a prefix and a checksum.
func (s *Server) NewText(prefix string) (string, error) { return s.text(prefix) }

// NewID returns a new identifier of 128 random bits.
func (s *Server) NewID() (string, error) { return s.id() }
