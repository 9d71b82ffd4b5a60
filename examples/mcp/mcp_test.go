package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/internal/interop/visitor"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
)

const (
	callback = "http://127.0.0.1:47823/callback"
	page     = "https://client.example" // the origin of a client in a browser
)

// start serves the example over a new SQLite file, and returns its address.
func start(t *testing.T, fetching server.Fetching) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	issuer := "http://" + s.Listener.Addr().String()
	flags := demo.Flags{Addr: "127.0.0.1:0", DB: "sqlite:" + t.TempDir() + "/mcp.sqlite3", LoginRate: "off"}
	f := flags.Published(demo.User{Name: "alice", Password: "wonderland-42"}, demo.User{Name: "bob", Password: "bob-the-builder-42"})
	ctx, stop := context.WithCancel(t.Context())
	h, cleanup, err := open(ctx, f, config{issuer: issuer, site: csrf.Loopback(), clients: []string{page}, fetching: fetching})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = h
	s.Start()
	t.Cleanup(func() { s.Close(); stop(); cleanup() })
	return issuer
}

// browser is a user who logs in and allows what the client asks for.
type browser struct{ *visitor.Visitor }

func newBrowser(name, password string) *browser {
	return &browser{&visitor.Visitor{Name: name, Password: password, Callback: callback}}
}

// alice is the first user of the example.
func alice() *browser { return newBrowser("alice", "wonderland-42") }

// fetch is the part of the client that opens the browser and waits for the callback.
func (b *browser) fetch(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	page, err := b.Open(args.URL)
	if err != nil {
		return nil, err
	}
	q := page.URL.Query()
	if q.Get("code") == "" {
		return nil, fmt.Errorf("no code at %s (%d): %s", page.URL, page.Status, page.Text)
	}
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
	alice, bob := alice(), newBrowser("bob", "bob-the-builder-42")
	a, b := connect(t, issuer, alice, dynamic()), connect(t, issuer, bob, dynamic())
	one, two := call(t, a), call(t, b)
	if one.Subject == "" || two.Subject == "" || one.Subject == two.Subject || one.Client == "" || one.Client == two.Client || len(one.Scopes) != 1 || one.Scopes[0] != scopeCall {
		t.Errorf("alice %+v, bob %+v", one, two)
	}
	if again := call(t, a); again.Subject != one.Subject || again.Client != one.Client {
		t.Errorf("alice %+v, then %+v", one, again)
	}
	if !strings.Contains(alice.Asked, "Registered") || !strings.Contains(alice.Asked, "Call tools as you") {
		t.Error(alice.Asked)
	}
}

// resolver finds every name on this machine.
type resolver struct{}

func (resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// documented serves a metadata document. It returns its URL, which is the client's ID, how the server
// gets there, and how often it was read.
func documented(t *testing.T, redirect string) (id string, fetching server.Fetching, fetched *atomic.Int32) {
	t.Helper()
	fetched = new(atomic.Int32)
	doc := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"client_id": id, "client_name": "Documented", "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none",
			"grant_types": []string{"authorization_code", "refresh_token"},
		})
	}))
	t.Cleanup(doc.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(doc.URL, "https://"), ":")
	id = "https://example.com:" + port + "/client.json" // the name in the certificate of httptest
	roots := x509.NewCertPool()
	roots.AddCert(doc.Certificate())
	return id, server.Fetching{Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Roots: roots, Resolver: resolver{}}, fetched
}

// A client that registered nowhere is known by its metadata document.
func TestClientWithDocument(t *testing.T) {
	id, fetching, fetched := documented(t, callback)
	issuer := start(t, fetching)
	alice := alice()
	s := connect(t, issuer, alice, auth.AuthorizationCodeHandlerConfig{ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: id}})
	if who := call(t, s); who.Client != id || who.Subject == "" || fetched.Load() != 1 {
		t.Errorf("%+v, %d fetches", who, fetched.Load())
	}
	// M09: the page names the host, and says that any program on the device can be this client.
	for _, want := range []string{"example.com", "Documented", "A program on this device requests access."} {
		if !strings.Contains(alice.Asked, want) {
			t.Errorf("%q is not in %s", want, alice.Asked)
		}
	}
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

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
		resp := send(t, "POST", issuer, headers...)
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
