// Package exchange adds token exchange (RFC 8693) to an authorization server. An API that received
// a user's access token can exchange it for a token with which it calls the next API. A client can
// exchange its own token for one with fewer scopes, for example for an agent.
//
// Call [Add] after server.New. Clients need the grant type oauth2.TokenExchange.
//
// The new token never allows more than the old token. It has no other scopes, expires after 5
// minutes at most, and comes without a refresh token. It names the clients that act for the user
// (Identity.Actors of package authn, and "act" in signed tokens and introspection). The new token
// belongs to the user's grant, so it is revoked when the grant is revoked, when the account is
// deleted or disabled, and when the user is logged out everywhere. It is also revoked if the client
// that received it is disabled.
//
// Only access tokens of the same server can be exchanged. Impersonation, actor tokens and tokens of
// other types are not supported.
package exchange

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// TokenType is the only "subject_token_type" and "requested_token_type" (RFC 8693, section 3).
	TokenType = "urn:ietf:params:oauth:token-type:access_token"
	// TTL is the maximum lifetime of a new token. The new token expires earlier if the old token
	// expires earlier, or if server.Options.AccessTTL or storage.Client.AccessTTL is shorter.
	TTL = 5 * time.Minute
)

// Add adds the grant type oauth2.TokenExchange to srv. Call it before the server handles its first
// request. A token request of this grant type has these parameters (RFC 8693, section 2.1):
//
//   - "subject_token": the old token, a valid access token of a user, issued by this server.
//   - "subject_token_type": [TokenType].
//   - "requested_token_type": optional, [TokenType] too.
//   - "scope": some scopes of the old token. Without this parameter, the new token has all scopes
//     that the old token and the client have in common.
//   - "resource": one resource that is allowed for the client and, for the token's own client, for
//     the token. Without this parameter, the new token is for those resources of the old token that
//     are allowed for the client.
//
// The client must be confidential. The old token must have been issued to this client, or be for a
// resource that the client serves (storage.Client.Serves). A client that may request tokens for a
// resource (storage.Client.Resources) may not therefore exchange them, because every client may
// request tokens for the server's own audience.
//
// If the old token is bound to a key, the client that it was issued to must prove that key again. A
// resource server must prove a key of its own. The new token is bound to the key of the proof.
//
// Errors:
//
//   - unauthorized_client: the client is public.
//   - invalid_request: a parameter is missing, malformed or not supported ("actor_token"). Or the
//     old token is unknown, expired, revoked, without a user, or not for this client. Or the old
//     token already has three actors, or the client is one of its actors.
//   - invalid_scope: the request has a scope that is not allowed, or no allowed scope is left.
//   - invalid_target: the request has a resource that is not allowed, no allowed resource is left,
//     or the request has the parameter "audience".
//   - invalid_dpop_proof: the old token is bound to a key and the request has no valid proof.
//
// Add returns an error if srv is nil or already has the grant type.
func Add(srv *server.Server) error {
	if srv == nil {
		return errors.New("exchange: Add: srv is required")
	}
	x := &exchanger{srv}
	return srv.Extend(server.Extension{Grants: map[string]server.GrantHandler{oauth2.TokenExchange: x.exchange}})
}

type exchanger struct{ server *server.Server }

// errSubject has the same description for all problems of a token, so that it reveals nothing about
// the token (RFC 8693, section 2.2.2).
var errSubject = oauth2.NewError("invalid_request", "The subject_token is invalid, expired, revoked, or not for this client.")

func (x *exchanger) exchange(ctx context.Context, r server.TokenRequest) (server.IssuedToken, error) {
	none := server.IssuedToken{}
	if err := checkRequest(r); err != nil {
		return none, err
	}
	a, err := x.subject(ctx, r)
	if err != nil {
		return none, err
	}
	scopes, resource, err := r.Narrow(a.Scopes, a.Resource)
	if err != nil {
		return none, err
	}
	// A client that calls another API for the user needs the user's consent. Only an API that received
	// the token may call further.
	if a.Client == r.Client.ID && slices.ContainsFunc(resource, func(uri string) bool { return !slices.Contains(a.Resource, uri) }) {
		return none, oauth2.NewError("invalid_target", "The user did not allow this resource.")
	}
	if err := x.server.Scheme().Used(ctx, &a); err != nil { // the resource server received it from the client
		return none, err
	}
	end := x.server.Now().Add(TTL)
	if a.Expires.Before(end) {
		end = a.Expires
	}
	issued, err := r.Issue(ctx, storage.AccessToken{
		Family: a.Family, Subject: a.Subject, Epoch: a.Epoch, Scopes: scopes, Resource: resource, AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR, Expires: end,
		Actors: append([]string{r.Client.ID}, a.Actors...),
	})
	if errors.Is(err, storage.ErrStale) {
		err = errSubject.WithCause(err)
	}
	issued.Members = map[string]any{"issued_token_type": TokenType}
	return issued, err
}

// checkRequest checks the client's type and the parameters, without a query to the store.
func checkRequest(r server.TokenRequest) error {
	f := r.Form
	switch requested := f.Get("requested_token_type"); {
	case r.Client.Public():
		return oauth2.NewError("unauthorized_client", "The client may not use this grant type.")
	case f.Get("actor_token") != "" || f.Get("actor_token_type") != "":
		return oauth2.NewError("invalid_request", "An actor_token is not supported: the client is the actor.")
	case f.Get("subject_token") == "":
		return oauth2.NewError("invalid_request", "The subject_token is missing.")
	case f.Get("subject_token_type") != TokenType, requested != "" && requested != TokenType:
		return oauth2.NewError("invalid_request", "The only supported token type is "+TokenType+".")
	case f.Get("audience") != "" || len(f.Values["resource"]) > 1:
		return oauth2.NewError("invalid_target", "Name one resource, and no audience.")
	}
	return nil
}

// subject returns the token of the request if the client may exchange it.
func (x *exchanger) subject(ctx context.Context, r server.TokenRequest) (storage.AccessToken, error) {
	api := x.server.Scheme()
	st, err := api.Lookup(ctx, r.Form.Get("subject_token"))
	a := st.Access
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return a, errSubject.WithCause(err)
	case err != nil:
		return a, err
	}
	if err := api.Inactive(&st); err != nil {
		return a, errSubject.WithCause(err)
	}
	own := a.Client == r.Client.ID
	switch {
	case a.Subject == "":
		return a, errSubject.WithCause(errors.New("token without a user"))
	case !own && !slices.ContainsFunc(a.Resource, func(uri string) bool { return slices.Contains(r.Client.Serves, uri) }):
		x.server.Notify(ctx, audit.Event{Kind: audit.CredentialRejected, Reason: "other_client", Client: r.Client.ID, Subject: a.Subject, Family: a.Family, Epoch: a.Epoch})
		return a, errSubject.WithCause(errors.New("token of another client, for a resource that this client does not serve"))
	case slices.Contains(a.Actors, r.Client.ID):
		return a, oauth2.NewError("invalid_request", "The client is already one of the token's actors.")
	case len(a.Actors) >= storage.MaxActors:
		return a, oauth2.NewError("invalid_request", "The token has too many actors.")
	case a.Confirm != "" && r.Key == "":
		return a, oauth2.NewError("invalid_dpop_proof", "A DPoP proof is required, because the subject_token is bound to a key.")
	case a.Confirm != "" && own && r.Key != a.Confirm:
		return a, errSubject.WithCause(errors.New("token bound to another key"))
	}
	return a, x.granted(ctx, a)
}

// granted checks the client to which the user granted access. If the token was never exchanged,
// this client is the token's client, which Lookup has checked.
func (x *exchanger) granted(ctx context.Context, a storage.AccessToken) error {
	if len(a.Actors) == 0 {
		return nil
	}
	c, err := x.server.GrantClient(ctx, a.Subject, a.Family)
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && c.Disabled:
		return errSubject.WithCause(errors.New("the client of the grant is disabled or deleted"))
	}
	return err
}
