package oauth2

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// Name returns "oauth2".
func (s *Server) Name() string { return "oauth2" }

// Headers returns Authorization: tokens in the URL or the body are not accepted (RFC 9700
// section 4.3.2).
func (s *Server) Headers() []string { return []string{"Authorization"} }

// Claims returns Bearer with the tokens' prefix, and with the issuer of signed ones (RULES C3);
// the same under DPoP with Options.DPoP.
func (s *Server) Claims() []authn.Claim {
	keywords := []string{"Bearer"}
	if s.opts.DPoP != nil {
		keywords = append(keywords, "DPoP")
	}
	var all []authn.Claim
	for _, k := range keywords {
		all = append(all, authn.Claim{Keyword: k, Shape: accessPrefix + "_", Begins: accessPrefix + "_"})
		if s.opts.SignedAccess {
			all = append(all, authn.Claim{Keyword: k, Shape: authn.JWTShape(s.issuer, ""), Begins: "e"})
		}
	}
	return all
}

// Challenge returns Bearer, with error="invalid_token" for a refused token and with
// error="insufficient_scope" for one whose scopes do not suffice (RFC 6750, section 3.1), and with the
// scopes that the route needs. With Options.DPoP there is one for DPoP too; an error comes alone,
// under the keyword of the request (RFC 9449, section 7.1).
func (s *Server) Challenge(r *http.Request, err error) string {
	var refused *authn.Error
	failed := errors.As(err, &refused) && slices.Contains([]string{s.invalid.Code, "invalid_dpop_proof", "use_dpop_nonce", authn.CodeInsufficientScope}, refused.Code)
	bearer := authn.BearerChallenge{Invalid: s.invalid.Code}
	if s.opts.DPoP == nil || failed && !underDPoP(r) {
		return bearer.For(err)
	}
	var names []string
	for _, alg := range algorithms() {
		names = append(names, string(alg))
	}
	algs := ` algs="` + strings.Join(names, " ") + `"`
	switch {
	case !failed:
		return bearer.For(err) + ", DPoP" + algs
	case refused.Code == s.invalid.Code || refused.Code == authn.CodeInsufficientScope:
		bearer.Keyword = "DPoP"
		return bearer.For(err) + "," + algs
	}
	return `DPoP error="` + refused.Code + `",` + algs
}

// credential returns the access token of the request, and whether it comes as one that is
// bound to a key.
func (s *Server) credential(r *http.Request) (text string, bound bool, err error) {
	text, err = authn.Credentials(r, "Bearer", "token")
	if err == authn.ErrNoCredentials && s.opts.DPoP != nil {
		text, err = authn.Credentials(r, "DPoP", "token")
		bound = true
	}
	return text, bound, err
}

// Authenticate looks for an access token under Bearer. It takes one query. With Options.DPoP
// one that is bound to a key comes under DPoP, with a proof, whose one use is a write. The identity acts
// for the user with the token's scopes and nothing else: no roles and no permissions (RULES
// C4); a token that a client got for itself has no Subject.
//
// An unknown, ended, expired or foreign token and a disabled account are refused alike; the
// reason goes to the log (RULES C6).
func (s *Server) Authenticate(r *http.Request) (authn.Identity, error) {
	return s.authenticate(r, "")
}

// Presented implements authn.Keeper: over a store that gives leases (package cached), the
// identities of opaque tokens that are bound to no key are kept.
func (s *Server) Presented(r *http.Request) (text string, guessable bool) {
	if text = authn.RawCredentials(r, "Bearer"); !tokentext.Fits(accessPrefix, text) {
		return "", false
	}
	return text, false
}

// authenticate is Authenticate for an endpoint whose address proofs name; "" for the API.
func (s *Server) authenticate(r *http.Request, endpoint string) (authn.Identity, error) {
	text, bound, err := s.credential(r)
	if err != nil {
		return authn.Identity{}, err
	}
	st, err := s.load(r.Context(), text)
	switch {
	case errors.Is(err, errForeign):
		return authn.Identity{}, s.unrecognized
	case errors.Is(err, storage.ErrNotFound):
		return authn.Identity{}, s.invalid.With(err)
	case err != nil:
		return authn.Identity{}, err
	}
	now := s.now()
	if err := s.dead(&st, now); err != nil {
		return authn.Identity{}, s.invalid.With(err)
	}
	a := st.Access
	switch {
	case bound != (a.Confirm != ""):
		return authn.Identity{}, s.invalid.With(errors.New("a bound token is no bearer token, and the other way round"))
	case len(a.Resource) > 0 && !slices.Contains(a.Resource, s.opts.Audience):
		return authn.Identity{}, s.invalid.With(errors.New("for another resource"))
	}
	if bound {
		if err := s.possessed(r, endpoint, text, a.Confirm); err != nil {
			return authn.Identity{}, err
		}
	}
	if !a.Digest.IsZero() { // a signed one is not: that would cost a write for each (RULES T3)
		if err := s.rotator.Used(r.Context(), a.Family, a.Created, now); err != nil {
			return authn.Identity{}, err
		}
	}
	id := authn.Identity{Subject: a.Subject, Client: a.Client, Scheme: "oauth2", Scopes: a.Scopes, Credential: &a, AuthTime: a.AuthTime, Expires: a.Expires}
	if id.Scopes == nil {
		id.Scopes = []string{}
	}
	if a.Subject != "" {
		if id.User, err = s.user(r.Context(), st.User.WithScopedPermissions(s.perms)); err != nil {
			return authn.Identity{}, err
		}
	}
	if bound || s.opts.User != nil && a.Subject != "" { // a proof is for one request, and the application makes its account for each
		return id, nil
	}
	return id.Kept(s, authn.Keep{Lease: st.User.LeaseOf(s.store), Clock: s.clock}), nil
}

func (s *Server) user(ctx context.Context, u *storage.User) (authn.User, error) {
	if s.opts.User != nil {
		return audit.Call("oauth2.Options.User", func() (authn.User, error) { return s.opts.User(ctx, u.Clone()) })
	}
	return u, nil
}

// dead returns why a token is not live, or nil.
func (s *Server) dead(st *storage.AccessState, now time.Time) error {
	a := &st.Access
	switch {
	case st.Ended:
		return errors.New("its grant has ended, or its client is disabled")
	case a.Subject != "" && !st.User.Active:
		return errors.New("account disabled")
	case a.Epoch != st.User.Epoch:
		return errors.New("ended with an earlier epoch of the account")
	case a.Expired(now):
		return errors.New("expired")
	}
	return nil
}
