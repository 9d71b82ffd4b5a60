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

// Extension is what another package adds to a server, such as openid, registration and consent. The
// server calls it and imports none of these packages.
type Extension struct {
	// Scopes are additional supported scopes with descriptions. A description in Options.Scopes
	// takes precedence.
	Scopes map[string]string
	// IgnoredScopes are scopes that every client may request and that grant nothing, unless
	// Options.Scopes contains them.
	IgnoredScopes []string
	// IDTokens issues ID tokens together with access tokens. A server has at most one.
	IDTokens IDTokens
	// Metadata returns a struct or map whose members are added to the metadata. Two extensions MUST
	// NOT add the same member, because clients reject or confuse duplicates.
	Metadata func(context.Context) (any, error)
	// Registration is the path of the registration endpoint, for the metadata.
	Registration string
	// Routes are added to Server.Routes.
	Routes []Route
	// Grants are additional grant types of the token endpoint. The server does not replace its own
	// grant types.
	Grants map[string]GrantHandler
}

// IDTokens issues and reads ID tokens.
type IDTokens interface {
	// Requested reports whether a grant with these scopes includes an ID token.
	Requested(scopes []string) bool
	// Claims returns the claims about a user with these scopes, in addition to the claims of the
	// protocol. It is called outside transactions and may call other servers.
	Claims(ctx context.Context, u storage.User, scopes []string) (map[string]any, error)
	// IDToken returns the ID token of a grant for which Requested was true. It is called in a
	// transaction, so it must not wait for anything.
	IDToken(ctx context.Context, g Grant) (string, error)
	// ReadHint reads an "id_token_hint". If the hint is not valid, the error is an *oauth2.Error.
	ReadHint(ctx context.Context, text string) (Hint, error)
}

// Grant is the grant for which an ID token is issued.
type Grant struct {
	Family storage.Family
	// Claims are the result of IDTokens.Claims.
	Claims map[string]any
	// Session is the session in which the user approved the grant; "" if unknown.
	Session string
	// Nonce is the nonce of the authorization request. Access is the access token.
	Nonce, Access string
}

// Hint is the content of an ID token that a client sends back (OpenID Connect Core, section
// 3.1.2.1).
type Hint struct {
	Client, Subject, Session string
	// Issued is when the ID token was issued ("iat").
	Issued time.Time
}

// IsOf reports whether the ID token was issued to that client. A token from before the client was
// created belongs to a deleted client with the same ID.
func (h Hint) IsOf(c storage.Client) bool {
	return h.Client == c.ID && !h.Issued.Before(c.Created.Truncate(time.Second)) // "iat" is in seconds
}

// Extend adds an extension. Call it while you construct the server, before the first request; it is
// not safe for concurrent use. It returns an error if the server already has ID tokens or a
// registration endpoint of another extension, if it already has one of the grant types, or if a
// scope is invalid.
func (s *Server) Extend(e Extension) error {
	x := &s.extended
	switch {
	case e.IDTokens != nil && x.IDTokens != nil:
		return errors.New("server: Extend: server already issues ID tokens")
	case e.Registration != "" && x.Registration != "":
		return errors.New("server: Extend: server already has a registration endpoint")
	}
	if err := checkScopes(e.Scopes); err != nil {
		return err
	}
	if err := s.addGrants(e.Grants); err != nil {
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
		s.described = append(s.described, e.Metadata)
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

// Options returns the options with defaults filled in. Do not modify its slices and maps.
func (s *Server) Options() Options { return s.opts }

// Now returns the time of the server's clock in the precision of stores.
func (s *Server) Now() time.Time { return s.now() }

// NewText returns a new secret of 256 bits with a prefix and a checksum.
func (s *Server) NewText(prefix string) (string, error) { return s.text(prefix) }

// NewID returns a new identifier of 128 random bits.
func (s *Server) NewID() (string, error) { return s.id() }
