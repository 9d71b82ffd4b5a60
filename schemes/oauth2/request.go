package oauth2

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// request is an authorization request that was checked.
type request struct {
	Client      string   `json:"client"`
	RedirectURI string   `json:"redirect_uri"` // as sent; "" where it named none
	State       string   `json:"state,omitempty"`
	Challenge   string   `json:"challenge,omitempty"`
	Nonce       string   `json:"nonce,omitempty"`
	Confirm     string   `json:"confirm,omitempty"` // thumbprint of the key that the code is bound to
	Scopes      []string `json:"scopes"`
	Resource    []string `json:"resource,omitempty"`
	// Implicit requests have the response type "token".
	Implicit bool `json:"implicit,omitempty"`
	// Prompt is "none", "login", "consent", or "".
	Prompt string `json:"prompt,omitempty"`
	// MaxAge is how old the user's login may be; negative for no bound.
	MaxAge time.Duration `json:"max_age"`
	// Hint is the user whom an "id_token_hint" names; "" for none.
	Hint string `json:"hint,omitempty"`

	// Consents: the prompt says "consent" beside "login".
	Consents bool `json:"consents,omitempty"`

	to       string         // where the answer goes
	client   storage.Client // as it is now
	pushed   storage.Digest // of a pushed request, which is to be taken
	pushedAt time.Time
}

// fatal is a refusal that goes to no redirect URI: there is none that could be trusted.
type fatal struct{ refusal *Error }

func (f fatal) Error() string { return f.refusal.Error() }
func (f fatal) Unwrap() error { return f.refusal }

func fatally(description string) error { return fatal{refuse("invalid_request", description)} }

const (
	// maxState is the longest state and nonce, in bytes.
	maxState = 4096
	// requestURI begins the name of a pushed request (RFC 9126 section 2.2).
	requestURI = "urn:ietf:params:oauth:request_uri:"
	// parPrefix is that of its texts (RULES C9), parTTL how long it waits.
	parPrefix = "vpa"
	parTTL    = time.Minute

	purposePushed  = "pushed"
	purposeConsent = "consent"
)

// parse checks an authorization request (RFC 6749 section 4.1.1, RFC 7636, RFC 8707, RFC
// 9126), whose parameters passed checkForm. Its error is a fatal, a refusal that goes to q.to, or a fault.
func (s *Server) parse(ctx context.Context, v url.Values) (request, error) {
	q := request{MaxAge: -1}
	var err error
	if q.client, err = s.store.ClientByID(ctx, v.Get("client_id")); errors.Is(err, storage.ErrNotFound) || err == nil && q.client.Disabled {
		return q, fatally("The client is unknown.")
	} else if err != nil {
		return q, err
	}
	q.Client = q.client.ID
	if uri := v.Get("request_uri"); strings.HasPrefix(uri, requestURI) {
		return s.pushedRequest(ctx, q, uri)
	}
	q.RedirectURI = v.Get("redirect_uri")
	switch {
	case q.RedirectURI != "" && MatchRedirect(q.client, q.RedirectURI):
		q.to = q.RedirectURI
	case q.RedirectURI == "" && len(q.client.RedirectURIs) == 1:
		q.to = q.client.RedirectURIs[0]
	default:
		return q, fatally("The redirect_uri is missing, or the client did not register it.")
	}
	if len(v.Get("state")) > maxState || len(v.Get("nonce")) > storage.MaxIDLen {
		return q, refuse("invalid_request", "The state or the nonce is too long.")
	}
	q.State, q.Nonce = v.Get("state"), v.Get("nonce")
	return s.rest(ctx, q, v)
}

// rest checks what may be answered at the redirect URI.
func (s *Server) rest(ctx context.Context, q request, v url.Values) (request, error) {
	grant, mode := AuthorizationCode, "query"
	if q.Implicit = s.opts.InsecureImplicitGrant && v.Get("response_type") == "token"; q.Implicit {
		grant, mode = Implicit, "fragment"
	}
	switch {
	case v.Has("request"):
		return q, refuse("request_not_supported", "Request objects are not supported.")
	case v.Has("request_uri"):
		return q, refuse("request_uri_not_supported", "A request_uri must be a pushed one.")
	case v.Get("response_type") == "":
		return q, refuse("invalid_request", "The response_type is missing.")
	case v.Get("response_type") != "code" && !q.Implicit:
		return q, refuse("unsupported_response_type", "The response type is not supported.")
	case !slices.Contains(q.client.Grants, grant):
		return q, errUnauthorized
	case v.Get("response_mode") != "" && v.Get("response_mode") != mode:
		return q, refuse("invalid_request", "The response mode is not supported.")
	}
	var err error
	if !q.Implicit {
		err = s.challenge(&q, v)
	}
	if err != nil {
		return q, err
	}
	if s.opts.DPoP != nil {
		if q.Confirm = v.Get("dpop_jkt"); q.Confirm != "" && !isSHA256(q.Confirm) {
			return q, refuse("invalid_request", "The dpop_jkt is no thumbprint.")
		}
	}
	if q.Scopes, err = s.scopesOf(v.Get("scope"), q.client.Scopes, q.client.Default); err != nil {
		return q, err
	}
	if q.Resource, err = resourcesOf(form{v}, s.mayName(q.client), nil); err != nil {
		return q, err
	}
	if text := v.Get("id_token_hint"); text != "" && s.opts.OpenID != nil {
		h, err := s.hinted(ctx, text)
		var refused *Error
		switch {
		case errors.As(err, &refused), err == nil && h.client != q.Client:
			return q, refuse("login_required", "The id_token_hint is no ID token of this client.").with(err)
		case err != nil:
			return q, err
		}
		q.Hint = h.subject
	}
	switch q.Prompt = v.Get("prompt"); q.Prompt {
	case "", "none", "login", "consent":
	case "login consent", "consent login":
		q.Prompt, q.Consents = "login", true
	default:
		return q, refuse("invalid_request", "The prompt is unknown, or combines none with others.")
	}
	if text := v.Get("max_age"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return q, refuse("invalid_request", "The max_age is no number of seconds.")
		}
		q.MaxAge = time.Duration(min(n, math.MaxInt64/int64(time.Second))) * time.Second
	}
	return q, nil
}

// challenge checks the PKCE parameters: S256 alone (RFC 9700 section 2.1.1).
func (s *Server) challenge(q *request, v url.Values) error {
	q.Challenge = v.Get("code_challenge")
	method := v.Get("code_challenge_method")
	switch {
	case q.Challenge == "" && method != "":
		return refuse("invalid_request", "A code_challenge_method without a code_challenge.")
	case q.Challenge == "" && (q.client.Public() || !s.opts.InsecureOptionalPKCE):
		return refuse("invalid_request", "A code_challenge is needed.")
	case q.Challenge == "":
		return nil
	case method != "S256":
		return refuse("invalid_request", "The code_challenge_method is not S256.")
	}
	if !isSHA256(q.Challenge) {
		return refuse("invalid_request", "The code_challenge is none of S256.")
	}
	return nil
}

// isSHA256 reports the base64url of a SHA-256, in its one spelling.
func isSHA256(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == 43
}

// pushedRequest returns the request that a client pushed. It is taken when the user is asked.
func (s *Server) pushedRequest(ctx context.Context, q request, uri string) (request, error) {
	text := strings.TrimPrefix(uri, requestURI)
	unknown := fatal{refuse("invalid_request_uri", "The request_uri is unknown, was used, or has expired.")}
	if !tokentext.Valid(parPrefix, text) {
		return q, unknown
	}
	d := storage.DigestOf(text)
	a, err := s.store.AuthRequestByDigest(ctx, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return q, unknown
	case err != nil:
		return q, err
	case a.Purpose != purposePushed || a.Client != q.Client || a.Expired(s.now()):
		return q, unknown
	}
	client := q.client
	if err := json.Unmarshal(a.Data, &q); err != nil {
		return q, err
	}
	q.client, q.pushed, q.pushedAt = client, d, a.Created
	if !q.addressed() {
		return q, fatally("The redirect_uri is not registered any more.")
	}
	return q, nil
}

// addressed finds where the answer of a stored request goes, and reports whether the client
// may still be answered there.
func (q *request) addressed() bool {
	q.to = q.RedirectURI
	if q.to == "" && len(q.client.RedirectURIs) == 1 {
		q.to = q.client.RedirectURIs[0]
	}
	return MatchRedirect(q.client, q.to)
}

// Push returns the endpoint by which a client sends an authorization request before the
// browser does (RFC 9126): POST of its parameters as a form, with the client's own
// authentication, answered with 201 and {"request_uri", "expires_in"}. The browser then
// brings "client_id" and that "request_uri" alone, once, within a minute.
func (s *Server) Push() http.Handler {
	return s.cors("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri, err := s.push(w, r)
		s.giveNonce(w.Header())
		if err != nil {
			s.fail(w, r, err)
			return
		}
		write(w, http.StatusCreated, struct {
			URI     string `json:"request_uri"`
			Expires int    `json:"expires_in"`
		}{uri, int(parTTL / time.Second)})
	}))
}

func (s *Server) push(w http.ResponseWriter, r *http.Request) (string, error) {
	f, err := readForm(w, r)
	if err != nil {
		return "", err
	}
	c, err := s.client(r, f)
	if err != nil {
		return "", err
	}
	if f.values.Has("request_uri") {
		return "", refuse("invalid_request", "A pushed request has no request_uri.")
	}
	f.values.Set("client_id", c.ID)
	q, err := s.parse(r.Context(), f.values)
	if err != nil {
		return "", err
	}
	p, err := s.claimed(r, s.at(s.opts.Endpoints.Push, "/oauth2/par"))
	if err != nil {
		return "", err
	}
	if q.Confirm, err = pushedKey(p, q.Confirm); err != nil {
		return "", err
	}
	if err := s.admitPending(r, workPush, c, parTTL); err != nil {
		return "", err
	}
	if c.Public() { // anybody is; the same request again is good for the same key alone
		err = refusedProof(verified(p))
	} else {
		err = s.proved(r.Context(), p)
	}
	if err != nil {
		return "", err
	}
	text, err := s.text(parPrefix)
	if err != nil {
		return "", err
	}
	return requestURI + text, s.keep(r.Context(), purposePushed, text, q, "", "", parTTL)
}

// keep stores a request until it is taken.
func (s *Server) keep(ctx context.Context, purpose, text string, q request, subject, session string, ttl time.Duration) error {
	data, err := json.Marshal(q)
	if err != nil {
		return err
	}
	now := s.now()
	err = s.store.CreateAuthRequest(ctx, storage.AuthRequest{
		Digest: storage.DigestOf(text), Purpose: purpose, Client: q.Client, Subject: subject, Session: session, Data: data, Created: now, Expires: now.Add(ttl),
	})
	if errors.Is(err, storage.ErrInvalid) || errors.Is(err, storage.ErrStale) { // the client was deleted in this moment
		return errRequest.with(err)
	}
	return err
}
