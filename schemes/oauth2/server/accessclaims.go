package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// AccessGrant describes the access token for which Options.AccessClaims returns claims.
type AccessGrant struct {
	// User is the account. It is the zero User for a token that a client requested for itself.
	User storage.User
	// Client is the client that uses the token.
	Client           string
	Scopes, Resource []string
	// Actors are the clients that act for the user after a token exchange; see storage.AccessToken.
	Actors []string
}

// maxAccessClaims is the maximum size of the claims as JSON, in bytes: a token is sent with every
// request, and servers limit the size of headers.
const maxAccessClaims = 4 << 10

// reservedClaims are the claims that Options.AccessClaims cannot set. Upper and lower case make no
// difference. They are the claims of access tokens and introspection, and claims that verifiers
// read as a client, as scopes, or as a sign of another kind of token.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "sid", "ver", "auth_time", "acr", "amr", "cnf", "act", "may_act",
	"active", "username", "token_type", "token_use", "typ", "azp", "cid", "appid", "scp", "scopes", "authorization_details",
	"nonce", "at_hash", "c_hash", "s_hash", "events", "refresh_exp",
}

// accessClaims returns the application's claims for an access token. It calls a function of the
// application, which can be slow, so the caller must not be in a transaction. Every error is a
// server error.
func (s *Server) accessClaims(ctx context.Context, u storage.User, client string, scopes, resource, actors []string) (map[string]any, error) {
	if s.opts.AccessClaims == nil {
		return nil, nil
	}
	given, err := audit.Call("server.Options.AccessClaims", func() (map[string]any, error) {
		return s.opts.AccessClaims(ctx, AccessGrant{u.Clone(), client, slices.Clone(scopes), slices.Clone(resource), slices.Clone(actors)})
	})
	if err != nil {
		return nil, err
	}
	claims := make(map[string]any, len(given))
	for name, value := range given {
		if slices.ContainsFunc(reservedClaims, func(own string) bool { return strings.EqualFold(own, name) }) {
			continue
		}
		text, err := json.Marshal(value) // now, because the application may change the value later
		if err != nil {
			return nil, fmt.Errorf("server: AccessClaims: claim %q: %w", name, err)
		}
		claims[name] = json.RawMessage(text)
	}
	text, err := json.Marshal(claims)
	if err == nil && len(text) > maxAccessClaims {
		err = fmt.Errorf("server: AccessClaims: claims have %d bytes (at most %d)", len(text), maxAccessClaims)
	}
	if err != nil {
		return nil, err
	}
	return claims, nil
}
