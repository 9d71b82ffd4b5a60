package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// GrantHandler handles the token requests of a grant type that an [Extension] adds. The client is
// authenticated and registered for the grant type. If the request is rejected, the error is an
// *oauth2.Error; any other error is a server error.
type GrantHandler func(ctx context.Context, r TokenRequest) (IssuedToken, error)

// TokenRequest is a token request for a [GrantHandler].
type TokenRequest struct {
	// Client is the authenticated client. It may be public.
	Client storage.Client
	Form   oauth2.Form
	// Key is the thumbprint of the key of the request's proof (RFC 9449); "" without a proof. Issue
	// verifies the proof.
	Key string

	server *Server
	x      exchange
}

// IssuedToken is the response to a [TokenRequest].
type IssuedToken struct {
	// Members are added to the response.
	Members map[string]any

	response tokenResponse
}

// addGrants adds the grant types of an extension.
func (s *Server) addGrants(grants map[string]GrantHandler) error {
	for name, handler := range grants {
		if handler == nil || name == "" || name == oauth2.DeviceCode || s.frame.knows(name) || s.extended.Grants[name] != nil {
			return fmt.Errorf("server: Extend: grant type %q has no name or handler, or the server already has it", name)
		}
	}
	for name, handler := range grants {
		if s.extended.Grants == nil {
			s.extended.Grants = map[string]GrantHandler{}
		}
		s.extended.Grants[name] = handler
	}
	return nil
}

// exchangeExtended calls the handler of an extension.
func (s *Server) exchangeExtended(handler GrantHandler, x exchange) (tokenResponse, error) {
	issued, err := handler(x.request.Context(), TokenRequest{Client: x.client, Form: x.form, Key: x.key, server: s, x: x})
	if err != nil {
		return tokenResponse{}, err
	}
	issued.response.members = issued.Members
	return issued.response, nil
}

// Narrow returns the scopes and resources of a token that is issued for another token with these
// scopes and resources.
//
// The scopes are those that the request names or, without "scope", all that the other token, the
// client and the server have in common. The error is invalid_scope if the request names any other
// scope, or if none is left.
//
// The resource is the one that the request names, which must be allowed for the client. Without
// "resource" they are the other token's, as far as they are allowed for the client. The error is
// invalid_target if there is none.
func (r TokenRequest) Narrow(scopes, resource []string) (narrowed, target []string, err error) {
	s := r.server
	allowed := s.stillAllowed(scopes, r.Client)
	if narrowed, err = s.scopesOf(r.Form.Get("scope"), allowed, allowed); err != nil {
		return nil, nil, err
	}
	if len(narrowed) == 0 {
		return nil, nil, errScope
	}
	if len(r.Form.Values["resource"]) > 0 {
		target, err = resourcesOf(r.Form, s.mayName(r.Client), nil)
		return narrowed, target, err
	}
	target = s.stillNames(resource, r.Client)
	if len(target) == 0 && (len(resource) > 0 || s.apiOpts.Audience != "") {
		return nil, nil, errTarget.WithCause(errors.New("client may not request the resources of the token"))
	}
	return narrowed, target, nil
}

// Issue verifies the proof of the request and issues an access token to the client, opaque or
// signed. It uses these fields of a: Family, Subject, Epoch, Scopes, Resource, Actors, AuthTime and
// Expires. The token expires no later than Expires, and no later than any access token of the
// client. It is bound to the key of the proof.
//
// It returns storage.ErrStale if the client, the family or the subject was disabled, revoked or
// deleted meanwhile, and an *oauth2.Error if the proof is invalid or the client requests too many
// tokens. Any other error is a server error. After an error no token was issued.
func (r TokenRequest) Issue(ctx context.Context, a storage.AccessToken) (IssuedToken, error) {
	s := r.server
	if err := s.admitOwn(r.x.request, r.Client); err != nil { // before a signature is verified and recorded
		return IssuedToken{}, err
	}
	if err := s.verifyProof(ctx, r.x.proof); err != nil {
		return IssuedToken{}, err
	}
	now := s.now()
	a.Digest, a.Client, a.Confirm, a.ClientRevoked, a.Created = storage.Digest{}, r.Client.ID, r.Key, r.Client.Revoked, now
	if end := now.Add(shorter(s.opts.AccessTTL, r.Client.AccessTTL)); end.Before(a.Expires) {
		a.Expires = end
	}
	if a.Scopes == nil {
		a.Scopes = []string{} // a client is always scope-limited
	}
	var issued IssuedToken
	err := s.Change(ctx, func(ctx context.Context) (err error) {
		if issued.response, err = s.issueAccess(ctx, a); err == nil {
			s.Notify(ctx, audit.Event{Kind: audit.TokenCreated, Client: a.Client, Subject: a.Subject, Credential: issued.response.Token, Family: a.Family, Epoch: a.Epoch})
		}
		return err
	})
	return issued, err
}

// GrantClient returns the client to which a user gave a grant. It returns storage.ErrNotFound if the
// grant or the client is absent.
func (s *Server) GrantClient(ctx context.Context, subject, family string) (storage.Client, error) {
	f, err := s.store.FamilyByID(ctx, s.purpose, subject, family)
	if err != nil {
		return storage.Client{}, err
	}
	return s.store.ClientByID(ctx, f.Client)
}
