package server

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// AuthorizationRequest is a validated authorization request. It can be stored as JSON and continued
// with [Server.ContinueRequest].
type AuthorizationRequest struct {
	Client      string   `json:"client"`
	RedirectURI string   `json:"redirect_uri"` // as sent; "" if the request has none
	State       string   `json:"state,omitempty"`
	Challenge   string   `json:"challenge,omitempty"`
	Nonce       string   `json:"nonce,omitempty"`
	Confirm     string   `json:"confirm,omitempty"` // thumbprint of the key that the code is bound to
	Scopes      []string `json:"scopes"`
	// Resource lists the resources of the access token. If the request has none, it is the Audience
	// of the server; without an Audience it is empty.
	Resource []string `json:"resource,omitempty"`
	// Implicit is set for the response type "token".
	Implicit bool `json:"implicit,omitempty"`
	// Prompt is "none", "login", "consent", or "".
	Prompt string `json:"prompt,omitempty"`
	// MaxAge is the maximum time since the user's login; negative means no limit.
	MaxAge time.Duration `json:"max_age"`
	// ACR are the requested authentication context classes ("acr_values"); see [Server.MeetsACR].
	ACR []string `json:"acr_values,omitempty"`
	// Hint is the subject of the "id_token_hint"; "" means no hint.
	Hint string `json:"hint,omitempty"`
	// Consents is set if the prompt contains both "login" and "consent".
	Consents bool `json:"consents,omitempty"`
	// SelectsAccount is set if the prompt contains "select_account".
	SelectsAccount bool `json:"selects_account,omitempty"`
	// LoginHint is what the client knows about the user, and Locales are the languages that the
	// user prefers, most preferred first. Show them on pages; they prove nothing. Values that are
	// malformed or too long are dropped.
	LoginHint string   `json:"login_hint,omitempty"`
	Locales   []string `json:"locales,omitempty"`
	// FormPost is set for the response mode "form_post": the browser sends the response to the
	// redirect URI by POST (OAuth 2.0 Form Post Response Mode).
	FormPost bool `json:"form_post,omitempty"`

	// To is the URL to which the response is sent; "" if there is no trusted URL.
	To string `json:"-"`
	// Document is set if the client has no record in the store, but a client ID metadata document.
	// See [Server.RecordClient].
	Document *StoredDocument `json:"document,omitempty"`
	// Registered is the client's current record, or what its document says.
	Registered storage.Client `json:"-"`
	// Spends is Pushed in the stored form of the request. It is nil if the request was not pushed.
	Spends []byte `json:"spends,omitempty"`
	// Pushed is the digest of a pushed request, which is used up when the user decides; see
	// [Server.SpendRequest]. PushedAt is the time at which the client pushed it. Both are zero for
	// other requests.
	Pushed   storage.Digest `json:"-"`
	PushedAt time.Time      `json:"-"`

	prepared *prepared // set by PrepareApproval for an implicit request
}

const (
	// MaxState is the maximum length of a state, in bytes.
	MaxState = 4096
	// requestURI is the prefix of the URI of a pushed request (RFC 9126, section 2.2).
	requestURI = "urn:ietf:params:oauth:request_uri:"
	// parPrefix is the prefix of the secret in that URI. parTTL is the lifetime of a pushed
	// request.
	parPrefix = "vpa"
	parTTL    = time.Minute

	purposePushed = "pushed"
)

// ParseRequest validates an authorization request (RFC 6749, section 4.1.1; RFC 7636; RFC 8707; RFC
// 9126). Its parameters must have passed oauth2.CheckParameters.
//
// If an *oauth2.Error has NoRedirect set, show it on a page; otherwise send it to the request's To.
// Any other error is a server error. With an error, the result contains the fields that were valid:
// pass it to Redirect.
func (s *Server) ParseRequest(r *http.Request, v url.Values) (AuthorizationRequest, error) {
	q := AuthorizationRequest{MaxAge: -1}
	ctx, from := r.Context(), s.opts.Proxies.ClientAddr(r)
	id, uri := v.Get("client_id"), v.Get("request_uri")
	pushed := strings.HasPrefix(uri, requestURI)
	if pushed && s.isDocument(id) { // the request can hold the document
		q.Client = id
		return s.pushedRequest(ctx, q, uri, from)
	}
	c, body, err := s.clientOfRequest(ctx, id, from, nil, func() error { return s.checkAlone(v) })
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && c.Disabled:
		return q, errNoClient
	case err != nil:
		return q, err
	}
	q.withDocument(c, body)
	if pushed {
		return s.pushedRequest(ctx, q, uri, from)
	}
	if q, err = s.address(q, v); err != nil {
		return q, err
	}
	if s.opts.RequirePushed || c.RequirePushed {
		return q, oauth2.NewError("invalid_request", "The client must push its requests.")
	}
	return s.rest(ctx, q, v)
}

var errNoClient = oauth2.PageError("The client is unknown.")

// address checks the redirect URI of a request of q's client, and the parameters that every
// response contains.
func (s *Server) address(q AuthorizationRequest, v url.Values) (AuthorizationRequest, error) {
	q.RedirectURI = v.Get("redirect_uri")
	switch {
	case q.RedirectURI != "" && s.matches(q.Registered, q.RedirectURI):
		q.To = q.RedirectURI
	case q.RedirectURI == "" && len(q.Registered.RedirectURIs) == 1:
		q.To = q.Registered.RedirectURIs[0]
	default:
		return q, oauth2.PageError("The redirect_uri is missing, or the client did not register it.")
	}
	// First, because it applies to errors, too. Browsers post only to web pages.
	q.FormPost = v.Get("response_mode") == modeFormPost && (strings.HasPrefix(q.To, "https://") || strings.HasPrefix(q.To, "http://")) &&
		(v.Get("response_type") != "token" || !s.opts.InsecureImplicitGrant)
	if len(v.Get("state")) > MaxState || len(v.Get("nonce")) > storage.MaxIDBytes {
		return q, oauth2.NewError("invalid_request", "The state or the nonce is too long.")
	}
	q.State, q.Nonce = v.Get("state"), v.Get("nonce")
	return q, nil
}

// matches reports whether the client may use a redirect URI.
func (s *Server) matches(c storage.Client, uri string) bool {
	return oauth2.MatchRedirect(c, uri) || s.opts.AllowLocalhostPorts && oauth2.MatchLocalhost(c, uri)
}

// rest checks the parameters whose errors may be sent to the redirect URI.
func (s *Server) rest(ctx context.Context, q AuthorizationRequest, v url.Values) (AuthorizationRequest, error) {
	grant, mode := oauth2.AuthorizationCode, "query"
	if q.Implicit = s.opts.InsecureImplicitGrant && v.Get("response_type") == "token"; q.Implicit {
		grant, mode = oauth2.Implicit, "fragment"
	}
	if q.FormPost {
		mode = modeFormPost
	}
	switch {
	case v.Has("request"):
		return q, oauth2.NewError("request_not_supported", "Request objects are not supported.")
	case v.Has("request_uri"):
		return q, oauth2.NewError("request_uri_not_supported", "A request_uri must be a pushed one.")
	case v.Get("response_type") == "":
		return q, oauth2.NewError("invalid_request", "The response_type is missing.")
	case v.Get("response_type") != "code" && !q.Implicit:
		return q, errResponseType
	case !slices.Contains(q.Registered.Grants, grant):
		return q, errUnauthorized
	case v.Get("response_mode") != "" && v.Get("response_mode") != mode:
		return q, oauth2.NewError("invalid_request", "The response mode is not supported.")
	}
	var err error
	if !q.Implicit {
		err = s.challenge(&q, v)
	}
	if err != nil {
		return q, err
	}
	if s.apiOpts.DPoP != nil {
		if q.Confirm = v.Get("dpop_jkt"); q.Confirm != "" && !syntax.IsSHA256(q.Confirm) {
			return q, oauth2.NewError("invalid_request", "The dpop_jkt is not a thumbprint.")
		}
		if q.Implicit && q.Confirm != "" {
			return q, errImplicitKey
		}
	}
	if q.Scopes, err = s.scopesOf(v.Get("scope"), q.Registered.Scopes, s.stillAllowed(q.Registered.Default, q.Registered)); err != nil {
		return q, err
	}
	if q.Resource, err = resourcesOf(oauth2.Form{Values: v}, s.mayName(q.Registered), s.own()); err != nil {
		return q, err
	}
	if text := v.Get("id_token_hint"); text != "" && s.extended.IDTokens != nil {
		h, err := s.extended.IDTokens.ReadHint(ctx, text)
		var refused *oauth2.Error
		switch {
		case errors.As(err, &refused), err == nil && !h.IsOf(q.Registered):
			return q, oauth2.NewError("login_required", "The id_token_hint is not an ID token of this client.").WithCause(err)
		case err != nil:
			return q, err
		}
		q.Hint = h.Subject
	}
	if err := q.prompts(v.Get("prompt")); err != nil {
		return q, err
	}
	q.LoginHint, q.Locales = loginHint(v.Get("login_hint")), locales(v.Get("ui_locales"))
	q.ACR = acrValues(v.Get("acr_values"))
	if text := v.Get("max_age"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return q, oauth2.NewError("invalid_request", "The max_age is not a number of seconds.")
		}
		q.MaxAge = time.Duration(min(n, math.MaxInt64/int64(time.Second))) * time.Second
	}
	return q, nil
}

// challenge checks the PKCE parameters. Only S256 is accepted (RFC 9700, section 2.1.1).
func (s *Server) challenge(q *AuthorizationRequest, v url.Values) error {
	q.Challenge = v.Get("code_challenge")
	method := v.Get("code_challenge_method")
	switch {
	case q.Challenge == "" && method != "":
		return oauth2.NewError("invalid_request", "The code_challenge_method requires a code_challenge.")
	case q.Challenge == "" && !s.mayOmitPKCE(q.Registered):
		return errNoChallenge
	case q.Challenge == "":
		return nil
	case method != "S256":
		return oauth2.NewError("invalid_request", "The code_challenge_method is not S256.")
	}
	if !syntax.IsSHA256(q.Challenge) {
		return oauth2.NewError("invalid_request", "The code_challenge is not valid for S256.")
	}
	return nil
}

// mayOmitPKCE reports whether a client may request a code without a challenge. A client that may use
// any port on localhost never may, because any program there can receive its codes.
func (s *Server) mayOmitPKCE(c storage.Client) bool {
	return s.opts.InsecureOptionalPKCE && !c.Public() && !c.FromDocument() && !(s.opts.AllowLocalhostPorts && c.Native)
}

var (
	errResponseType = oauth2.NewError("unsupported_response_type", "The response type is not supported.")
	errImplicitKey  = oauth2.NewError("invalid_request", "The token of an implicit grant cannot be bound to a key.")
	errNoChallenge  = oauth2.NewError("invalid_request", "A code_challenge is required.")
)
