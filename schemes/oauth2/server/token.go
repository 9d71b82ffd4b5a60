package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/storage"
)

// Token returns the token endpoint (RFC 6749, section 3.2). It accepts a POST of a form with
// "grant_type" and the parameters of the grant. It reads client credentials, so mount it outside
// the chain. Errors follow RFC 6749, section 5.2. After a store failure the response is 503, and
// the client can send the same request again. The store may have committed the exchange before it
// failed. Then a repeated refresh gets the response of the first one. A repeated code or device
// code counts as used: the response is invalid_grant, its grant is revoked, and the user has to
// authorize the client again.
//
//   - authorization_code: "code", "redirect_uri" if the authorization request had one, and
//     "code_verifier". A code can be exchanged once. A wrong verifier invalidates it, and a second
//     use revokes the grant.
//   - refresh_token: "refresh_token", and "scope" to narrow the scopes. A repetition within
//     oauth2.Options.Grace gets the same response. Reuse of an older token revokes the grant.
//   - client_credentials: "scope". The token has no user.
//   - oauth2.DeviceCode: "device_code", repeated until the user decides (RFC 8628, section 3.5). It
//     can be exchanged once. See [Server.DeviceAuthorization].
//   - the grants of extensions, such as oauth2.TokenExchange with package exchange.
//
// "resource" (RFC 8707) may appear several times and narrows the resources of the token.
//
// With oauth2.Options.DPoP, a proof in the header "DPoP" binds the access token to its key (RFC
// 9449), and for public clients also the refresh token. A client must prove the same key to
// refresh, or to exchange a code that is bound by "dpop_jkt".
//
// Cheap checks come first: the form, the client, the grant. The signature of a proof is verified,
// and its use recorded, only after the grant was found valid.
func (s *Server) Token() http.Handler {
	return s.CORS("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, key, err := s.token(w, r)
		s.apiOpts.DPoP.SetNonce(w.Header())
		if err != nil {
			s.fail(w, r, err)
			return
		}
		data := s.frame.members(a)
		data["token_type"] = typeOf(key)
		maps.Copy(data, a.members)
		oauth2.WriteJSON(w, http.StatusOK, data)
	}))
}

// token returns the response to a token request, and the thumbprint of the key to which the access
// token is bound.
func (s *Server) token(w http.ResponseWriter, r *http.Request) (a tokenResponse, key string, err error) {
	f, err := oauth2.ReadForm(w, r)
	if err != nil {
		return a, "", err
	}
	c, err := s.client(r, f)
	if err != nil {
		return a, "", err
	}
	grant := f.Get("grant_type")
	device := grant == oauth2.DeviceCode && s.opts.Keys != nil // not supported by the frame
	handler := s.extended.Grants[grant]
	switch {
	case grant == "":
		return a, "", oauth2.NewError("invalid_request", "The grant_type is missing.")
	case !device && handler == nil && !s.frame.knows(grant):
		return a, "", errUnsupported
	case !slices.Contains(c.Grants, grant), grant == oauth2.ClientCredentials && c.Public():
		return a, "", errUnauthorized
	}
	p, err := s.readProof(r, s.URL(s.opts.Endpoints.Token))
	switch {
	case err != nil:
		return a, "", err
	case p.Key == "" && s.opts.RequireDPoP:
		return a, "", oauth2.NewError("invalid_dpop_proof", "A DPoP proof is required.")
	}
	x := exchange{request: r, client: c, form: f, source: rotation.SourceOf(s.opts.Proxies.ClientAddr(r)), key: p.Key, proof: p}
	switch {
	case device:
		a, err = s.exchangeDevice(r.Context(), x)
	case handler != nil:
		a, err = s.exchangeExtended(handler, x)
	default:
		a, err = s.frame.exchange(r, grant, x)
	}
	if err == nil {
		id := authn.Identity{Subject: a.subject, Client: c.ID}
		id.SetActors(a.actors)
		authn.Issued(r, id, a.Access)
	}
	return a, p.Key, err
}

// exchange is a token request whose client is authenticated.
type exchange struct {
	request *http.Request
	client  storage.Client
	form    oauth2.Form
	source  string     // the address of the request
	key     string     // thumbprint of the key of its proof (RFC 9449); "" without a proof
	proof   dpop.Proof // to be verified before anything is issued or consumed
}

// refreshKey returns the key to which refresh tokens are bound. Only those of public clients are;
// those of a confidential client are bound to its authentication (RFC 9449, section 5).
func (x exchange) refreshKey() string {
	if x.client.Public() {
		return x.key
	}
	return ""
}

// tokenResponse is what an exchange issues. The family stores it encrypted, to repeat it.
type tokenResponse struct {
	Access  string    `json:"a"`
	Expires time.Time `json:"e"`
	Refresh string    `json:"r,omitempty"`
	Scopes  []string  `json:"s,omitempty"`
	ID      string    `json:"i,omitempty"` // the ID token
	Token   string    `json:"-"`           // the public identifier of the access token
	subject string
	actors  []string
	members map[string]any // more members of the response
}

// exchange issues the tokens for a request. The frame calls it.
func (s *Server) exchange(ctx context.Context, grant string, x exchange) (tokenResponse, error) {
	switch grant {
	case oauth2.AuthorizationCode:
		return s.exchangeCode(ctx, x)
	case oauth2.RefreshToken:
		return s.refresh(ctx, x)
	case oauth2.ClientCredentials:
		return s.clientCredentials(ctx, x)
	case oauth2.Password:
		return s.byPassword(ctx, x)
	}
	return tokenResponse{}, errUnsupported
}

// typeOf returns the "token_type" of a token that is bound to key.
func typeOf(key string) string {
	if key == "" {
		return "Bearer"
	}
	return "DPoP"
}

// ignored reports whether a scope grants nothing and may be requested by every client.
func (s *Server) ignored(scope string) bool {
	_, own := s.opts.Scopes[scope]
	return !own && slices.Contains(s.extended.IgnoredScopes, scope)
}

// scopesOf returns the scopes that a client requests: those that text names, which must all be in
// allowed, or otherwise if text is "". Both lists may contain scopes that the server or the client
// has lost, so pass otherwise through stillAllowed. It stops at the first scope that is not
// allowed, so that a long text costs little.
func (s *Server) scopesOf(text string, allowed, otherwise []string) ([]string, error) {
	if text == "" {
		return otherwise, nil
	}
	if len(text) > storage.MaxScopesBytes {
		return nil, errScope
	}
	list, named := []string{}, false
	for name := range strings.SplitSeq(text, " ") {
		if name == "" {
			continue
		}
		named = true
		if s.ignored(name) || slices.Contains(list, name) {
			continue
		}
		if _, ok := s.opts.Scopes[name]; !ok || !slices.Contains(allowed, name) {
			return nil, errScope
		}
		list = append(list, name)
	}
	if !named {
		return nil, errScope
	}
	return list, nil
}

// requested returns the scopes and resources that a client requests for a new grant.
func (s *Server) requested(f oauth2.Form, c storage.Client) (scopes, resource []string, err error) {
	if scopes, err = s.scopesOf(f.Get("scope"), c.Scopes, s.stillAllowed(c.Default, c)); err != nil {
		return nil, nil, err
	}
	resource, err = resourcesOf(f, s.mayName(c), s.own())
	return scopes, resource, err
}

// clientCredentials issues a token to a client for itself (RFC 6749, section 4.4). There is no
// refresh token, because the client can request another token at any time.
func (s *Server) clientCredentials(ctx context.Context, x exchange) (tokenResponse, error) {
	scopes, resource, err := s.requested(x.form, x.client)
	if err != nil {
		return tokenResponse{}, err
	}
	if err := s.admitOwn(x.request, x.client); err != nil { // before a signature is verified and recorded
		return tokenResponse{}, err
	}
	if err := s.verifyProof(ctx, x.proof); err != nil {
		return tokenResponse{}, err
	}
	own := storage.Family{Client: x.client.ID, Scopes: scopes, Resource: resource, Confirm: x.key, ClientRevoked: x.client.Revoked}
	if s.apiOpts.SignedAccess != nil {
		own.Epoch = x.client.Epoch() // the token is not stored, so its epoch must revoke it with the client
	}
	var a tokenResponse
	err = s.Change(ctx, func(ctx context.Context) (err error) {
		if a, err = s.access(ctx, own, x.client); err == nil {
			s.Notify(ctx, audit.Event{Kind: audit.TokenCreated, Client: x.client.ID, Credential: a.Token})
		}
		return err
	})
	switch {
	case errors.Is(err, storage.ErrStale):
		return a, errClient.WithCause(errors.New("client was disabled or deleted concurrently"))
	}
	return a, err
}

// access issues an access token of a family, or of a client itself. An opaque token is stored; a
// signed one is not.
func (s *Server) access(ctx context.Context, f storage.Family, c storage.Client) (tokenResponse, error) {
	now := s.now()
	expires := now.Add(shorter(s.opts.AccessTTL, c.AccessTTL))
	if !f.Expires.IsZero() && expires.After(f.Expires) {
		expires = f.Expires
	}
	if f.Scopes == nil {
		f.Scopes = []string{} // a client is always scope-limited
	}
	a := storage.AccessToken{
		Family: f.ID, Client: f.Client, Subject: f.Subject, Epoch: f.Epoch,
		Scopes: f.Scopes, Resource: f.Resource, Confirm: f.Confirm, AuthTime: f.AuthTime, ACR: f.ACR, AMR: f.AMR, Created: now, Expires: expires,
		ClientRevoked: f.ClientRevoked,
	}
	return s.issueAccess(ctx, a)
}

// issueAccess issues an access token with an ID and, if it is opaque, a digest.
func (s *Server) issueAccess(ctx context.Context, a storage.AccessToken) (tokenResponse, error) {
	id, err := s.id()
	if err != nil {
		return tokenResponse{}, err
	}
	a.ID = s.api.TokenID(id)
	issued := tokenResponse{Expires: a.Expires, Scopes: a.Scopes, Token: a.ID, subject: a.Subject, actors: a.Actors}
	if s.apiOpts.SignedAccess != nil {
		a.Expires = a.Expires.Truncate(time.Second)
		issued.Expires = a.Expires
		issued.Access, err = s.signAccess(ctx, a)
		return issued, err
	}
	if issued.Access, err = s.text(oauth2.AccessPrefix); err != nil {
		return tokenResponse{}, err
	}
	a.Digest = storage.DigestOf(issued.Access)
	return issued, s.store.CreateAccess(ctx, a)
}
