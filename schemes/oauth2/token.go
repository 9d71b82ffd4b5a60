package oauth2

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	goauth "github.com/go-oauth2/oauth2/v4"

	"github.com/vestibule-auth/vestibule/storage"
)

// Token returns the token endpoint (RFC 6749 section 3.2): POST of a form with "grant_type"
// and what the grant needs. It reads the client's own credential, so mount it outside the
// chain. Refusals are those of RFC 6749 section 5.2; a store that fails is 503, and then the
// client sends the same request again.
//
//   - authorization_code: "code", "redirect_uri" where the authorization request had one,
//     "code_verifier". A code is exchanged once; a wrong verifier burns it, and a second use
//     ends what came from the first, whichever of them came in time (RULES T7).
//   - refresh_token: "refresh_token", and "scope" for fewer scopes. As for package jwt: the
//     same answer again within Options.Grace, the end of the grant where an older one is
//     used (RULES T3).
//   - client_credentials: "scope". The token has no user.
//   - DeviceCode: "device_code", again and again until the user decided (RFC 8628 section
//     3.5). It is exchanged once. See DeviceAuthorization.
//
// Cheap checks come first: the form, the client, the grant. The signature of a proof is
// verified, and its use noted, when the grant was found to be good.
//
// With Options.DPoP a proof in the header "DPoP" binds the access token, and a public client's
// refresh token, to its key (RFC 9449); who refreshes, and whose code is bound by "dpop_jkt",
// proves the same key.
//
// "resource" (RFC 8707) may come several times, and narrows what the token is for.
func (s *Server) Token() http.Handler {
	return s.cors("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, key, err := s.token(w, r)
		s.giveNonce(w.Header())
		if err != nil {
			s.fail(w, r, err)
			return
		}
		data := s.frame.GetTokenData(info)
		data["token_type"] = typeOf(key)
		write(w, http.StatusOK, data)
	}))
}

// token returns what an exchange gave, and the key that it is bound to.
func (s *Server) token(w http.ResponseWriter, r *http.Request) (goauth.TokenInfo, string, error) {
	f, err := readForm(w, r)
	if err != nil {
		return nil, "", err
	}
	c, err := s.client(r, f)
	if err != nil {
		return nil, "", err
	}
	grant := goauth.GrantType(f.get("grant_type"))
	device := grant == DeviceCode && s.opts.Keys != nil // which the frame does not know
	switch {
	case grant == "":
		return nil, "", refuse("invalid_request", "The grant_type is missing.")
	case !device && !s.frame.CheckGrantType(grant):
		return nil, "", errUnsupported
	case !slices.Contains(c.Grants, string(grant)), grant == goauth.ClientCredentials && c.Public():
		return nil, "", errUnauthorized
	}
	p, err := s.claimed(r, s.at(s.opts.Endpoints.Token, "/oauth2/token"))
	key := p.key
	switch {
	case err != nil:
		return nil, "", err
	case key == "" && s.opts.DPoP != nil && s.opts.DPoP.Required:
		return nil, "", refuse("invalid_dpop_proof", "A DPoP proof is needed.")
	}
	x := exchange{c, f, s.source(r), key, p}
	if device {
		a, err := s.exchangeDevice(r.Context(), x)
		return manager{s}.info(a), key, err
	}
	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	info, err := s.frame.GetAccessToken(ctx, grant, &goauth.TokenGenerateRequest{ClientID: c.ID, Request: r})
	return info, key, ours(err)
}

var (
	errScope  = refuse("invalid_scope", "The scope is unknown, malformed, or the client may not ask for it.")
	errTarget = refuse("invalid_target", "The resource is unknown, or the client may not ask for it.")
)

// scopeOffline asks for a refresh token in OpenID Connect (Core section 11). Here the client's
// registration decides about those, so it is known to an OpenID Provider and grants nothing.
const scopeOffline = "offline_access"

// harmless reports a scope that every client may ask for and that grants nothing.
func (s *Server) harmless(scope string) bool {
	_, own := s.opts.Scopes[scope]
	return scope == scopeOffline && s.opts.OpenID != nil && !own
}

// scopesOf returns the scopes that a client requests: the set that text names, which must all be
// among allowed; otherwise, if it names none. It stops at the first scope that is not allowed, so
// that a long text costs little.
func (s *Server) scopesOf(text string, allowed, otherwise []string) ([]string, error) {
	if text == "" {
		return otherwise, nil
	}
	if len(text) > storage.MaxScopes {
		return nil, errScope
	}
	list, named := []string{}, false
	for name := range strings.SplitSeq(text, " ") {
		if name == "" {
			continue
		}
		named = true
		if s.harmless(name) || slices.Contains(list, name) {
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

// forItself gives a client a token of its own (RFC 6749 section 4.4). It can be asked for
// again at any time, so there is no refresh token.
func (s *Server) forItself(ctx context.Context, x exchange) (answer, error) {
	scopes, err := s.scopesOf(x.form.get("scope"), x.client.Scopes, x.client.Default)
	if err != nil {
		return answer{}, err
	}
	resource, err := resourcesOf(x.form, s.mayName(x.client), nil)
	if err != nil {
		return answer{}, err
	}
	if err := s.proved(ctx, x.proof); err != nil {
		return answer{}, err
	}
	if err := s.admitOwn(ctx, x.client); err != nil {
		return answer{}, err
	}
	a, err := s.access(ctx, storage.Family{Client: x.client.ID, Scopes: scopes, Resource: resource, Confirm: x.key})
	switch {
	case errors.Is(err, storage.ErrStale):
		return a, errClient.with(errors.New("disabled or deleted in this moment"))
	case err != nil:
		return a, err
	}
	s.tell(ctx, Event{Kind: Granted, Client: x.client.ID})
	return a, nil
}

// access makes an access token of a family, or one without. An opaque one is stored; of a
// signed one nothing is kept.
func (s *Server) access(ctx context.Context, f storage.Family) (answer, error) {
	id, err := s.id()
	if err != nil {
		return answer{}, err
	}
	now := s.now()
	expires := now.Add(s.opts.AccessTTL)
	if !f.Expires.IsZero() && expires.After(f.Expires) {
		expires = f.Expires
	}
	if f.Scopes == nil {
		f.Scopes = []string{} // a client is always limited to its scopes
	}
	a := storage.AccessToken{
		ID: id, Family: f.ID, Client: f.Client, Subject: f.Subject, Epoch: f.Epoch,
		Scopes: f.Scopes, Resource: f.Resource, Confirm: f.Confirm, AuthTime: f.AuthTime, Created: now, Expires: expires,
	}
	if s.opts.SignedAccess {
		a.Expires = expires.Truncate(time.Second)
		text, err := s.signAccess(ctx, a)
		return answer{Access: text, Expires: a.Expires, Scopes: f.Scopes}, err
	}
	text, err := s.text(accessPrefix)
	if err != nil {
		return answer{}, err
	}
	a.Digest = storage.DigestOf(text)
	return answer{Access: text, Expires: expires, Scopes: f.Scopes}, s.store.CreateAccess(ctx, a)
}
