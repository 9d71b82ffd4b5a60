package oauth2

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
)

// Challenge returns a Bearer challenge with the scopes that the route requires. It has
// error="invalid_token" for a rejected token, and error="insufficient_scope" if the token's scopes
// do not suffice (RFC 6750, section 3.1). With Options.DPoP there is a DPoP challenge, too. An
// error is reported only in the challenge for the keyword of the request (RFC 9449, section 7.1).
func (s *Scheme) Challenge(r *http.Request, err error) string {
	var refused *authn.Error
	failed := errors.As(err, &refused) && slices.Contains([]string{s.invalid.Code, "invalid_dpop_proof", "use_dpop_nonce", authn.CodeInsufficientScope, authn.CodeInsufficientAuthentication}, refused.Code)
	bearer := authn.BearerChallenge{ResourceMetadata: s.opts.ResourceMetadata, Invalid: s.invalid.Code, StepUp: true}
	if s.opts.DPoP == nil || failed && !underDPoP(r) {
		return bearer.For(err)
	}
	var names []string
	for _, alg := range dpop.Algorithms() {
		names = append(names, string(alg))
	}
	algs := ` algs="` + strings.Join(names, " ") + `"`
	switch {
	case !failed:
		return bearer.For(err) + ", DPoP" + algs
	case refused.Code == s.invalid.Code || refused.Code == authn.CodeInsufficientScope || refused.Code == authn.CodeInsufficientAuthentication:
		bearer.Keyword = "DPoP"
		return bearer.For(err) + "," + algs
	}
	return `DPoP error="` + refused.Code + `",` + algs
}

func underDPoP(r *http.Request) bool { return strings.EqualFold(authn.Keyword(r), "DPoP") }

// Renew sends the nonce for the next proof to a client that used DPoP.
func (s *Scheme) Renew(w http.ResponseWriter, r *http.Request, _ authn.Identity) error {
	if s.opts.DPoP != nil && underDPoP(r) {
		s.opts.DPoP.SetNonce(w.Header())
	}
	return nil
}

// possessed verifies the proof of a sender-constrained access token (RFC 9449, section 7.1).
// endpoint is the address in the proof; "" means the API.
func (s *Scheme) possessed(r *http.Request, endpoint, token, key string) error {
	if endpoint == "" {
		endpoint = s.opts.Origin + pathOf(r)
	}
	p, err := s.opts.DPoP.Read(r, endpoint, token)
	switch {
	case err != nil:
	case p.Key == "":
		err = dpop.Invalid("no proof")
	case p.Key != key:
		err = dpop.Invalid("a proof by another key than the token's")
	case authn.Explained(r.Context()):
		err = s.opts.DPoP.Check(r.Context(), p)
	default:
		err = s.opts.DPoP.Verify(r.Context(), p)
	}
	var bad *dpop.Error
	if !errors.As(err, &bad) {
		return err
	}
	refused := authn.AuthenticationFailed(bad.Description()).WithCause(bad.Unwrap())
	refused.Code, refused.Header = bad.Code, make(http.Header)
	s.opts.DPoP.SetNonce(refused.Header)
	return refused
}

// pathOf returns the path as the client sent it, even if an outer handler has removed a prefix.
func pathOf(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}
