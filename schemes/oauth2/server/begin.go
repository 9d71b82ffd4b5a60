package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// newGrant is a grant that a user has just approved.
type newGrant struct {
	family  storage.Family // with Subject, Scopes, Resource, Epoch and AuthTime
	session string         // the session in which the user approved it, for ID tokens; "" if unknown
	// resource lists the resources of the first access token, a subset of those of the grant.
	resource []string
	nonce    string
	// prepared has the claims of the ID token if they were prepared before the caller's
	// transaction; nil if begin must prepare them.
	prepared *prepared
	// claim consumes the code for which the grant is issued, in the same transaction; nil if there
	// is no code.
	claim func(ctx context.Context, family string) error
}

// shorter returns the lifetime for a client: the server's, or its own if that is shorter.
func shorter(server, client time.Duration) time.Duration {
	if client > 0 {
		return min(server, client)
	}
	return server
}

// stillAllowed returns the scopes that the server still supports and the client may still have.
func (s *Server) stillAllowed(scopes []string, c storage.Client) []string {
	c = s.withinOptions(c)
	list := []string{}
	for _, name := range scopes {
		if _, ok := s.opts.Scopes[name]; ok && slices.Contains(c.Scopes, name) {
			list = append(list, name)
		}
	}
	return list
}

// begin creates a grant and its first tokens, in one transaction. It returns the errors of claim
// and of storage.Families.
func (s *Server) begin(ctx context.Context, x exchange, b newGrant) (tokenResponse, error) {
	f := b.family
	var err error
	if f.ID, err = s.id(); err != nil {
		return tokenResponse{}, err
	}
	refresh, err := s.text(refreshPrefix)
	if err != nil {
		return tokenResponse{}, err
	}
	f.Purpose, f.Client, f.Name, f.Confirm = s.purpose, x.client.ID, x.client.Name, x.refreshKey()
	f.ClientRevoked = x.client.Revoked
	f.Data = grantData{b.session, &s.apiOpts.Audience, s.unrotated(x)}.encode()
	f.Scopes = s.stillAllowed(f.Scopes, x.client)
	p := b.prepared
	if p == nil {
		if p, err = s.prepare(ctx, f); err != nil {
			return tokenResponse{}, err
		}
	}
	var a tokenResponse
	var evicted []storage.Family
	err = s.InTx(ctx, func(ctx context.Context) error {
		// Begin comes before the claim because it locks the account and the client. Transactions
		// that delete these lock them before the code, too.
		f.Expires = s.now().Add(shorter(s.opts.AbsoluteTTL, x.client.AbsoluteTTL))
		f, err := s.rotator.BeginWithin(ctx, f, refresh, x.client.RefreshTTL)
		if err != nil {
			return err
		}
		if b.claim != nil {
			if err := b.claim(ctx, f.ID); err != nil {
				return err
			}
		}
		if evicted, err = s.evict(ctx, f); err != nil {
			return err
		}
		// For this token only: the next one may have other resources and another key.
		f.Resource, f.Confirm = b.resource, x.key
		if a, err = s.access(ctx, f, x.client); err != nil {
			return err
		}
		if a.ID, err = s.idToken(ctx, Grant{Family: f, Claims: p.claims, Nonce: b.nonce, Access: a.Access}); err != nil {
			return err
		}
		s.Notify(ctx, about(audit.TokenCreated, f))
		for _, old := range evicted {
			e := about(audit.TokenEvicted, old)
			e.Reason = reasonLimit
			s.Notify(ctx, e)
		}
		return nil
	})
	if err != nil {
		return tokenResponse{}, err
	}
	if slices.Contains(x.client.Grants, oauth2.RefreshToken) {
		a.Refresh = refresh
	}
	return a, nil
}

// endAll revokes grants in a transaction, in the order of their IDs. Every transaction that locks
// several grants uses this order, so that they cannot deadlock. The list keeps its order.
func (s *Server) endAll(ctx context.Context, list []storage.Family) error {
	for _, f := range slices.SortedFunc(slices.Values(list), func(a, b storage.Family) int { return strings.Compare(a.ID, b.ID) }) {
		if err := s.rotator.EndFamily(ctx, f.ID); err != nil {
			return err
		}
	}
	return nil
}

// grantData is what Family.Data holds about the login and the server of a grant.
type grantData struct {
	Session string `json:"session,omitempty"`
	// Audience is the audience of the server, which may be "". It is nil in grants of earlier
	// versions.
	Audience *string `json:"audience,omitempty"`
	// Unrotated is set if the refresh token of the grant is not exchanged for another one. It names
	// the client's keys, see unrotated.
	Unrotated string `json:"unrotated,omitempty"`
}

func (d grantData) encode() []byte {
	text, _ := json.Marshal(d) // strings
	return text
}

func dataOf(f storage.Family) (d grantData) {
	_ = json.Unmarshal(f.Data, &d) // absent members are empty
	return d
}

// issued reports whether this server issued a grant, rather than a server of the same issuer and
// store for another API. Grants of earlier versions do not contain this information.
func (s *Server) issued(f storage.Family) bool {
	audience := dataOf(f).Audience
	return audience == nil || *audience == s.apiOpts.Audience
}

// resourcesOfFamily returns the resources of a grant that this server issued. Grants of earlier
// versions have no resources if they are for this application's API.
func (s *Server) resourcesOfFamily(f storage.Family) []string {
	if dataOf(f).Audience == nil {
		return s.orOwn(f.Resource)
	}
	return f.Resource
}

// identifies reports whether a grant includes ID tokens.
func (s *Server) identifies(f storage.Family) bool {
	return s.extended.IDTokens != nil && s.extended.IDTokens.Requested(f.Scopes)
}

// prepared holds what the tokens of a new grant need from the application's functions and from
// keys.
type prepared struct{ claims map[string]any }

// prepare returns what a new grant needs before its transaction.
func (s *Server) prepare(ctx context.Context, f storage.Family) (*prepared, error) {
	claims, err := s.claimsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	return &prepared{claims}, nil
}

// claimsOf prepares the tokens of a new grant before its transaction, because a transaction must
// not wait for the application's functions or for keys. The epoch of the account that it reads is
// checked when the grant is created.
func (s *Server) claimsOf(ctx context.Context, f storage.Family) (map[string]any, error) {
	if !s.identifies(f) {
		return s.claims(ctx, storage.User{}, f)
	}
	u, err := s.store.UserByID(ctx, f.Subject)
	if errors.Is(err, storage.ErrNotFound) { // deleted concurrently; begin fails
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.claims(ctx, u, f)
}

// claims is claimsOf for an account that was already read.
func (s *Server) claims(ctx context.Context, u storage.User, f storage.Family) (map[string]any, error) {
	if !s.identifies(f) && s.apiOpts.SignedAccess == nil {
		return nil, nil
	}
	if _, inMemory := s.opts.SigningKeys.(*jose.KeySet); !inMemory { // load the keys
		if _, err := s.opts.SigningKeys.JWKS(ctx); err != nil {
			return nil, err
		}
	}
	if !s.identifies(f) {
		return nil, nil
	}
	return s.extended.IDTokens.Claims(ctx, u, f.Scopes)
}

// idToken returns the ID token of a grant, or "" if none was requested.
func (s *Server) idToken(ctx context.Context, g Grant) (string, error) {
	if !s.identifies(g.Family) {
		return "", nil
	}
	g.Session = dataOf(g.Family).Session
	return s.extended.IDTokens.IDToken(ctx, g)
}
