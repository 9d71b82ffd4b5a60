package oidclogin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
)

// Provider is an OpenID Provider at which this application is registered as a client.
type Provider struct {
	// Name is part of the paths: 1 to 32 of a-z, 0-9 and '-'.
	Name string
	// Issuer is the provider's identifier, an https URL. Its configuration is read from
	// /.well-known/openid-configuration below it.
	Issuer string
	// ClientID and ClientSecret are the values from the registration at the provider. The secret is
	// sent with client_secret_basic. The ClientSecret "" means a public client.
	ClientID, ClientSecret string
	// SecretInBody sends the secret with client_secret_post instead.
	SecretInBody bool
	// Scopes are requested in addition to "openid". nil means "profile" and "email".
	Scopes []string
	// LoginClaims uses the provider's claims about the login: auth_time, amr, and acr as mapped by
	// ACR. If it is false, the time and the methods of the login are unknown, and authz.Fresh,
	// authz.ACR and authz.Factors reject the login. This is the default, because what another
	// provider calls a second factor may not be one here.
	LoginClaims bool
	// ACR maps authentication context classes of the provider to classes of this application.
	// Classes that ACR does not contain are dropped.
	ACR map[string]string
	// ACRValues are requested with acr_values. The provider can ignore them.
	ACRValues []string
	// RequireIss rejects responses without "iss" (RFC 9207). Set RequireIss if you know that the
	// provider sends "iss". If the provider's configuration says so, "iss" is always required.
	RequireIss bool
}

// maxBody is the largest response of a provider, in bytes.
const maxBody = 1 << 20

// retryAfter is the time for which a failed request for the provider's configuration is not
// repeated.
const retryAfter = 5 * time.Second

// provider is a Provider with its configuration, which is read at the first use.
type provider struct {
	Provider
	redirect string
	client   *http.Client
	clock    func() time.Time
	receiver http.Handler // of logout messages

	turn   chan struct{} // holds one value while the configuration is not being read
	mu     sync.Mutex
	found  *discovered
	failed time.Time
	err    error
}

// discovered is the configuration of a provider.
type discovered struct {
	oauth2   oauth2.Config
	keys     *jose.RemoteKeySet
	verifier *oidc.IDTokenVerifier
	sendsIss bool
	logout   string // end_session_endpoint, or ""
}

func (p *Provider) check() error {
	u, err := url.Parse(p.Issuer)
	name := func(c rune) bool { return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') }
	switch {
	case p.Name == "" || len(p.Name) > 32 || strings.ContainsFunc(p.Name, name):
		return fmt.Errorf("Name %q is invalid (1 to 32 of a-z, 0-9 and -)", p.Name)
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: Issuer %q is invalid (an https URL without query and fragment)", p.Name, p.Issuer)
	case p.ClientID == "":
		return fmt.Errorf("%s: ClientID is required", p.Name)
	case p.ACR != nil && !p.LoginClaims:
		return fmt.Errorf("%s: ACR requires LoginClaims", p.Name)
	}
	return nil
}

// limited limits the bodies of responses.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxBody), resp.Body}
	}
	return resp, err
}

// clientOf returns a client that follows no redirect, has no cookies and a timeout.
func clientOf(c *http.Client) *http.Client {
	var copied http.Client
	if c != nil {
		copied = *c
	}
	if copied.Transport == nil {
		copied.Transport = http.DefaultTransport
	}
	copied.Transport, copied.Jar = limited{copied.Transport}, nil
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if copied.Timeout == 0 {
		copied.Timeout = 10 * time.Second
	}
	return &copied
}

// configured returns the configuration. At the first use, one call reads the configuration, and
// concurrent calls wait for it. Every error is an *authn.Unavailable.
func (p *provider) configured(ctx context.Context) (*discovered, error) {
	if d, err := p.known(); d != nil || err != nil {
		return d, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.turn:
	}
	defer func() { p.turn <- struct{}{} }()
	if d, err := p.known(); d != nil || err != nil {
		return d, err
	}
	// A visitor that disconnects does not stop the request, because others wait for its result.
	d, err := p.discover(oidc.ClientContext(context.WithoutCancel(ctx), p.client))
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failed, p.err = p.clock(), unavailable(err)
		return nil, p.err
	}
	p.found = d
	return d, nil
}

func (p *provider) known() (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil && p.err != nil && p.clock().Sub(p.failed).Abs() < retryAfter {
		return nil, p.err
	}
	return p.found, nil
}

// unavailable returns the error for a provider that does not respond, or responds incorrectly.
func unavailable(err error) error {
	return &authn.Unavailable{Reason: "openid provider unavailable", RetryAfter: retryAfter, Cause: err}
}

func (p *provider) discover(ctx context.Context) (*discovered, error) {
	found, err := oidc.NewProvider(ctx, p.Issuer) // compares the issuer
	if err != nil {
		return nil, err
	}
	var meta struct {
		Keys       string   `json:"jwks_uri"`
		SendsIss   bool     `json:"authorization_response_iss_parameter_supported"`
		Logout     string   `json:"end_session_endpoint"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		Challenges []string `json:"code_challenge_methods_supported"`
	}
	if err := found.Claims(&meta); err != nil {
		return nil, err
	}
	endpoint := found.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // never both, because a code is used once
	if p.ClientSecret == "" || p.SecretInBody {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	for name, address := range map[string]string{"authorization_endpoint": endpoint.AuthURL, "token_endpoint": endpoint.TokenURL, "end_session_endpoint": meta.Logout} {
		u, err := url.Parse(address)
		if address == "" && name == "end_session_endpoint" {
			continue
		}
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("oidclogin: %s of %s is not an https URL", name, p.Name)
		}
	}
	if meta.Challenges != nil && !slices.Contains(meta.Challenges, "S256") {
		return nil, fmt.Errorf("oidclogin: %s does not support PKCE with S256", p.Name)
	}
	var algorithms []jose.Algorithm
	for _, name := range meta.Algorithms {
		if a := jose.Algorithm(name); a.Valid() && !strings.HasPrefix(name, "HS") {
			algorithms = append(algorithms, a)
		}
	}
	if algorithms == nil {
		algorithms = []jose.Algorithm{"RS256"} // OpenID Connect Discovery, section 3
	}
	d := &discovered{sendsIss: meta.SendsIss || p.RequireIss, logout: meta.Logout}
	if d.keys, err = jose.NewRemoteKeySet(meta.Keys, &jose.RemoteOptions{Algorithms: algorithms, Client: p.client, Clock: p.clock}); err != nil {
		return nil, err
	}
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	d.verifier = oidc.NewVerifier(p.Issuer, signatures{d.keys}, &oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: names, Now: p.clock})
	scopes := p.Scopes
	if scopes == nil {
		scopes = []string{"profile", "email"}
	}
	d.oauth2 = oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: endpoint, RedirectURL: p.redirect, Scopes: append([]string{oidc.ScopeOpenID}, scopes...),
	}
	return d, nil
}

// signatures verifies ID tokens with the strict decoder of package jose. This decoder returns
// different errors for an invalid signature and for a provider that does not respond.
type signatures struct{ keys jose.KeySource }

// VerifySignature implements oidc.KeySet.
func (s signatures) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	t, err := jose.Decode(token)
	if err != nil {
		return nil, err
	}
	switch err := t.VerifyAs(ctx, s.keys, jose.Expected{Types: []string{"jwt"}, Untyped: true}); {
	case err == nil:
		return t.Claims.Raw(), nil
	case errors.Is(err, jose.ErrInvalid):
		return nil, err
	default:
		if fault, ok := ctx.Value(faultKey{}).(*error); ok {
			*fault = unavailable(err)
		}
		return nil, err
	}
}

// faultKey is the context key of a *error. VerifySignature stores the error there if the provider's
// keys could not be read, because the verifier of go-oidc returns only the text of an error.
type faultKey struct{}
