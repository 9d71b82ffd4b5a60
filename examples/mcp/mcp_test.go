package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
)

const callback = "http://127.0.0.1:47823/callback"

// start serves the example over a new SQLite file, and returns its address.
func start(t *testing.T, fetching server.Fetching) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	issuer := "http://" + s.Listener.Addr().String()
	flags := demo.Flags{Addr: "127.0.0.1:0", DB: "sqlite:" + t.TempDir() + "/mcp.sqlite3", LoginRate: "off"}
	f := flags.Published(demo.User{Name: "alice", Password: "wonderland-42"}, demo.User{Name: "bob", Password: "bob-the-builder-42"})
	ctx, stop := context.WithCancel(t.Context())
	h, cleanup, err := open(ctx, f, config{issuer: issuer, site: csrf.Loopback(), fetching: fetching})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = h
	s.Start()
	t.Cleanup(func() { s.Close(); stop(); cleanup() })
	return issuer
}

var (
	hidden = regexp.MustCompile(`<input[^>]*type="?hidden"?[^>]*>`)
	attr   = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// browser is a user who logs in and allows what the client asks for.
type browser struct {
	t              *testing.T
	name, password string
	consent        string // the page
}

// fetch is the part of the client that opens the browser and waits for the callback.
func (b *browser) fetch(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	var back *url.URL
	c := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback+"?") {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page, err := c.Get(args.URL)
	for step := 0; err == nil && back == nil && step < 3; step++ {
		body, e := io.ReadAll(page.Body)
		page.Body.Close()
		if e != nil {
			return nil, e
		}
		form := url.Values{}
		for _, field := range hidden.FindAllString(string(body), -1) {
			values := map[string]string{}
			for _, m := range attr.FindAllStringSubmatch(field, -1) {
				values[m[1]] = html.UnescapeString(m[2])
			}
			form.Set(values["name"], values["value"])
		}
		switch {
		case strings.Contains(string(body), `name="password"`):
			form.Set("username", b.name)
			form.Set("password", b.password)
		case strings.Contains(string(body), `name="decision"`):
			b.consent = string(body)
			form.Set("decision", "allow")
		default:
			return nil, fmt.Errorf("%s: neither login nor consent (%d): %s", page.Request.URL, page.StatusCode, body)
		}
		r, e := http.NewRequestWithContext(ctx, http.MethodPost, page.Request.URL.String(), strings.NewReader(form.Encode()))
		if e != nil {
			return nil, e
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", page.Request.URL.Scheme+"://"+page.Request.URL.Host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		page, err = c.Do(r)
	}
	if err != nil {
		return nil, err
	}
	defer page.Body.Close()
	if back == nil || back.Query().Get("code") == "" {
		return nil, fmt.Errorf("no code in %v, at %s (%d)", back, page.Request.URL, page.StatusCode)
	}
	q := back.Query()
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}

// connect logs a client of the SDK in, and returns its session.
func connect(t *testing.T, issuer string, b *browser, cfg auth.AuthorizationCodeHandlerConfig) *mcp.ClientSession {
	t.Helper()
	cfg.RedirectURL, cfg.AuthorizationCodeFetcher = callback, b.fetch
	h, err := auth.NewAuthorizationCodeHandler(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: issuer + "/mcp", OAuthHandler: h}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func call(t *testing.T, s *mcp.ClientSession) (who Caller) {
	t.Helper()
	got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil || got.IsError {
		t.Fatal(got, err)
	}
	text, err := json.Marshal(got.StructuredContent)
	if err == nil {
		err = json.Unmarshal(text, &who)
	}
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func dynamic() auth.AuthorizationCodeHandlerConfig {
	return auth.AuthorizationCodeHandlerConfig{DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
		ClientName: "Registered", RedirectURIs: []string{callback}, TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code", "refresh_token"},
	}}}
}

// A client that only knows the URL of the tools registers, logs its user in and calls a tool as
// this user. Two users never mix.
func TestRegisteredClient(t *testing.T) {
	issuer := start(t, server.Fetching{})
	alice, bob := &browser{t: t, name: "alice", password: "wonderland-42"}, &browser{t: t, name: "bob", password: "bob-the-builder-42"}
	a, b := connect(t, issuer, alice, dynamic()), connect(t, issuer, bob, dynamic())
	one, two := call(t, a), call(t, b)
	if one.Subject == "" || two.Subject == "" || one.Subject == two.Subject || one.Client == "" || one.Client == two.Client || len(one.Scopes) != 1 || one.Scopes[0] != scopeCall {
		t.Errorf("alice %+v, bob %+v", one, two)
	}
	if again := call(t, a); again.Subject != one.Subject || again.Client != one.Client {
		t.Errorf("alice %+v, then %+v", one, again)
	}
	if !strings.Contains(alice.consent, "Registered") || !strings.Contains(alice.consent, "Call tools as you") {
		t.Error(alice.consent)
	}
}

// resolver finds every name on this machine.
type resolver struct{}

func (resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// A client that registered nowhere is known by its metadata document.
func TestClientWithDocument(t *testing.T) {
	var id string
	var fetched atomic.Int32
	doc := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"client_id": id, "client_name": "Documented", "redirect_uris": []string{callback}, "token_endpoint_auth_method": "none"})
	}))
	t.Cleanup(doc.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(doc.URL, "https://"), ":")
	id = "https://example.com:" + port + "/client.json" // the name in the certificate of httptest
	roots := x509.NewCertPool()
	roots.AddCert(doc.Certificate())
	issuer := start(t, server.Fetching{Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Roots: roots, Resolver: resolver{}})
	alice := &browser{t: t, name: "alice", password: "wonderland-42"}
	s := connect(t, issuer, alice, auth.AuthorizationCodeHandlerConfig{ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: id}})
	if who := call(t, s); who.Client != id || who.Subject == "" || fetched.Load() != 1 {
		t.Errorf("%+v, %d fetches", who, fetched.Load())
	}
	if !strings.Contains(alice.consent, "example.com") || !strings.Contains(alice.consent, "Documented") {
		t.Error(alice.consent)
	}
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// post sends a first message to the tools with headers as pairs.
func post(t *testing.T, issuer string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/mcp", strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// Nobody calls tools without a token for them, and the answer tells clients where tokens are issued.
func TestChallenge(t *testing.T) {
	issuer := start(t, server.Fetching{})
	at := `resource_metadata="` + issuer + `/.well-known/oauth-protected-resource/mcp", scope="tools:call"`
	for name, x := range map[string]struct{ authorization, want string }{
		"none": {"", "Bearer " + at},
		"bad":  {"Bearer vat_" + strings.Repeat("A", 49), `Bearer error="invalid_token", ` + at},
	} {
		var headers []string
		if x.authorization != "" {
			headers = []string{"Authorization", x.authorization}
		}
		resp := post(t, issuer, headers...)
		if got := resp.Header.Values("WWW-Authenticate"); resp.StatusCode != 401 || len(got) != 1 || got[0] != x.want {
			t.Errorf("%s: %d %q", name, resp.StatusCode, got)
		}
	}
	resp, err := http.Get(issuer + "/.well-known/oauth-protected-resource")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Error("metadata of the tools at the root:", resp.StatusCode)
	}
}

// The page of another site is refused, with a token, too, and under a name that points to this machine.
func TestForeignOrigin(t *testing.T) {
	issuer := start(t, server.Fetching{})
	cfg := dynamic()
	b := &browser{t: t, name: "alice", password: "wonderland-42"}
	cfg.RedirectURL, cfg.AuthorizationCodeFetcher = callback, b.fetch
	h, err := auth.NewAuthorizationCodeHandler(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := post(t, issuer)
	first.Request, err = http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/mcp", nil)
	if err == nil {
		err = h.Authorize(t.Context(), first.Request, first)
	}
	if err != nil {
		t.Fatal(err)
	}
	source, err := h.TokenSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	token := "Bearer " + got.AccessToken
	for name, x := range map[string]struct {
		headers []string
		want    int
	}{
		"a program":      {nil, 200},
		"its own page":   {[]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, 200},
		"another site":   {[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"only Origin":    {[]string{"Origin", "https://evil.example"}, 403},
		"null":           {[]string{"Origin", "null"}, 403},
		"another port":   {[]string{"Origin", "http://127.0.0.1:1"}, 403},
		"rebound name":   {[]string{"Host", "evil.example", "Origin", "http://evil.example"}, 403},
		"rebound, quiet": {[]string{"Host", "evil.example"}, 403},
	} {
		if resp := post(t, issuer, append([]string{"Authorization", token}, x.headers...)...); resp.StatusCode != x.want {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}
