package oauth2

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Name returns "oauth2".
func (s *Scheme) Name() string { return schemeName }

// Headers returns Authorization. Tokens in the URL or the body are not accepted (RFC 9700, section
// 4.3.2).
func (s *Scheme) Headers() []string { return []string{"Authorization"} }

// Formats returns Bearer with the prefix of opaque tokens and, for signed tokens, with the issuer.
// With Options.DPoP it returns the same formats for DPoP.
func (s *Scheme) Formats() []authn.CredentialFormat {
	keywords := []string{"Bearer"}
	if s.opts.DPoP != nil {
		keywords = append(keywords, "DPoP")
	}
	var all []authn.CredentialFormat
	for _, k := range keywords {
		all = append(all, authn.CredentialFormat{Keyword: k, Format: AccessPrefix + "_", Prefix: AccessPrefix + "_"})
		if s.opts.SignedAccess != nil {
			all = append(all, authn.CredentialFormat{Keyword: k, Format: authn.JWTFormat(s.issuer, ""), Prefix: "e"})
		}
	}
	return all
}

// credential returns the access token of the request, and whether it was sent as a
// sender-constrained token.
func (s *Scheme) credential(r *http.Request) (text string, bound bool, err error) {
	text, err = authn.Credentials(r, "Bearer", "token")
	if err == authn.ErrNoCredentials && s.opts.DPoP != nil {
		text, err = authn.Credentials(r, "DPoP", "token")
		bound = true
	}
	return text, bound, err
}

// Authenticate reads an access token with the keyword Bearer. It costs one query. With Options.DPoP
// it also reads a sender-constrained token with the keyword DPoP. The proof of such a token can be
// used once, which costs a write.
//
// The identity acts for the user with only the token's scopes: it has no roles and no permissions.
// A token that a client requested for itself has no Subject.
//
// An unknown, revoked, expired or foreign token, and a token of a disabled account, are rejected
// with the same response. The log has the reason.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	return s.authenticate(r, "")
}

// Presented implements [authn.Keeper]. Over a store with leases (package cached), the middleware
// keeps the identities of opaque bearer tokens.
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	if text = authn.RawCredentials(r, "Bearer"); !accessFormat.Fits(text) {
		return "", false
	}
	return text, false
}

// At returns the scheme for an endpoint outside the API, such as UserInfo. url is the address of
// the endpoint in DPoP proofs.
func (s *Scheme) At(url string) authn.Authenticator { return endpoint{s, url} }

// endpoint is a Scheme for an endpoint with its own address.
type endpoint struct {
	*Scheme
	url string
}

// Authenticate implements [authn.Authenticator].
func (e endpoint) Authenticate(r *http.Request) (authn.Identity, error) {
	return e.authenticate(r, e.url)
}

// authenticate is Authenticate. endpoint is the address in DPoP proofs; "" means the API.
func (s *Scheme) authenticate(r *http.Request, endpoint string) (authn.Identity, error) {
	text, bound, err := s.credential(r)
	if err != nil {
		return authn.Identity{}, err
	}
	st, err := s.Lookup(r.Context(), text)
	switch {
	case errors.Is(err, errForeign):
		return authn.Identity{}, s.unrecognized
	case errors.Is(err, storage.ErrNotFound):
		return authn.Identity{}, s.invalid.WithCause(err)
	case err != nil:
		return authn.Identity{}, err
	}
	if err := s.Inactive(&st); err != nil {
		return authn.Identity{}, s.invalid.WithCause(err)
	}
	a := st.Access
	switch {
	case bound != (a.Confirm != ""):
		return authn.Identity{}, s.invalid.WithCause(errors.New("token binding does not match the Authorization scheme (Bearer or DPoP)"))
	case s.opts.Audience == "" && len(a.Resource) > 0, s.opts.Audience != "" && !slices.Contains(a.Resource, s.opts.Audience):
		return authn.Identity{}, s.invalid.WithCause(errors.New("for another resource"))
	}
	if bound {
		if err := s.possessed(r, endpoint, text, a.Confirm); err != nil {
			return authn.Identity{}, err
		}
	}
	if !a.Digest.IsZero() { // signed tokens would need a write for each
		if err := s.Used(r.Context(), &a); err != nil {
			return authn.Identity{}, err
		}
	}
	id := authn.Identity{Subject: a.Subject, Client: a.Client, Scheme: schemeName, Scopes: a.Scopes, Credential: &a, AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR, Expires: a.Expires}
	id.SetActors(a.Actors)
	if id.Scopes == nil {
		id.Scopes = []string{}
	}
	if a.Subject != "" {
		if id.User, err = s.user(r.Context(), st.User.WithScopedPermissions(s.perms)); err != nil {
			return authn.Identity{}, err
		}
	}
	if bound || s.opts.User != nil && a.Subject != "" { // a proof and the application's account are valid for one request
		return id, nil
	}
	return id.Kept(s, authn.Keep{Lease: st.User.LeaseOf(s.store), Clock: s.clock}), nil
}

func (s *Scheme) user(ctx context.Context, u *storage.Account) (authn.User, error) {
	if s.opts.User != nil {
		return audit.Call("oauth2.Options.User", func() (authn.User, error) { return s.opts.User(ctx, u.Clone()) })
	}
	return u, nil
}

// Used records that a token was used, at the API or in an introspection. A client that uses the
// token has received the response to its refresh request, so from then on it cannot repeat that
// request. Used writes once per refresh, within Options.Grace. It ignores tokens from a token exchange,
// because the client that got the refresh token does not use them.
func (s *Scheme) Used(ctx context.Context, a *storage.AccessToken) error {
	if authn.Explained(ctx) || len(a.Actors) > 0 {
		return nil
	}
	return s.rotator.Used(ctx, a.Family, a.Created, s.now())
}

// Inactive returns why a token is not active now, or nil if it is active. A token without a
// resource is for APIs without an Audience, so it is not active if this scheme has an Audience.
func (s *Scheme) Inactive(st *storage.AccessState) error {
	if len(st.Access.Resource) == 0 && s.opts.Audience != "" {
		return errors.New("names no resource")
	}
	return inactive(st, s.now())
}

func inactive(st *storage.AccessState, now time.Time) error {
	a := &st.Access
	switch {
	case st.Ended:
		return errors.New("grant revoked or client disabled")
	case a.Subject != "" && !st.User.Active:
		return errors.New("account disabled")
	case a.Epoch != st.User.Epoch:
		return errors.New("issued in an earlier epoch of the account")
	case a.Expired(now):
		return errors.New("expired")
	case storage.Ahead(now, a.Created):
		return errors.New("issued by a clock that was ahead")
	}
	return nil
}
