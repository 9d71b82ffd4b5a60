// Command mcpgo calls the MCP server of examples/mcp with the client of
// github.com/mark3labs/mcp-go, and prints what it saw as JSON:
//
//	mcpgo BASE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vestibule-auth/vestibule/internal/interop/visitor"
)

const callback = "http://127.0.0.1:47824/callback"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: mcpgo BASE")
		os.Exit(2)
	}
	seen, err := run(context.Background(), os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(seen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// connect returns a client that has said hello.
func connect(ctx context.Context, base string, cfg client.OAuthConfig) (*client.Client, error) {
	c, err := client.NewOAuthStreamableHttpClient(base+"/mcp", cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	_, err = c.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{
		ProtocolVersion: mcp.LATEST_PROTOCOL_VERSION, ClientInfo: mcp.Implementation{Name: "test", Version: "1"},
	}})
	return c, err
}

// authorize registers, sends alice to the login, and gets the first tokens.
func authorize(ctx context.Context, h *transport.OAuthHandler, redirect string) error {
	if err := h.RegisterClient(ctx, "mcp-go"); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	verifier, err := client.GenerateCodeVerifier()
	if err != nil {
		return err
	}
	state, err := client.GenerateState()
	if err != nil {
		return err
	}
	address, err := h.GetAuthorizationURL(ctx, state, client.GenerateCodeChallenge(verifier))
	if err != nil {
		return err
	}
	alice := visitor.Alice()
	alice.Callback = redirect
	page, err := alice.Open(address)
	if err != nil {
		return err
	}
	q := page.URL.Query()
	if q.Get("code") == "" {
		return fmt.Errorf("no code at %s (%d): %s", page.URL, page.Status, page.Text)
	}
	return h.ProcessAuthorizationResponse(ctx, q.Get("code"), q.Get("state"), verifier)
}

func run(ctx context.Context, base string) (map[string]any, error) {
	seen := map[string]any{}
	store := client.NewMemoryTokenStore()
	cfg := client.OAuthConfig{RedirectURI: callback, Scopes: []string{"tools:call"}, TokenStore: store, PKCEEnabled: true}
	_, err := connect(ctx, base, cfg)
	seen["without_token"] = client.IsOAuthAuthorizationRequiredError(err)
	h := client.GetOAuthHandler(err)
	if h == nil {
		return nil, fmt.Errorf("no authorization required: %w", err)
	}
	if err := authorize(ctx, h, callback); err != nil {
		return nil, err
	}
	cfg.ClientID = h.GetClientID()
	cfg.TokenEndpointAuthMethod = h.GetTokenEndpointAuthMethod()
	c, err := connect(ctx, base, cfg)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	seen["call"] = call(ctx, c, cfg.ClientID)
	first, err := store.GetToken(ctx)
	if err != nil {
		return nil, err
	}
	seen["token"] = []any{first.TokenType, first.Scope, first.RefreshToken != ""}

	// The client believes that its token has expired.
	old := *first
	old.ExpiresAt = time.Now().Add(-time.Minute)
	if err := store.SaveToken(ctx, &old); err != nil {
		return nil, err
	}
	seen["call_after_expiry"] = call(ctx, c, cfg.ClientID)
	renewed, err := store.GetToken(ctx)
	if err != nil {
		return nil, err
	}
	seen["refresh"] = []any{renewed.AccessToken != first.AccessToken, renewed.RefreshToken != first.RefreshToken}

	resp, err := http.PostForm(base+"/oauth2/revoke", url.Values{"client_id": {cfg.ClientID}, "token": {renewed.RefreshToken}})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	_, err = c.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "whoami"}})
	seen["revoked"] = []any{resp.StatusCode, client.IsOAuthAuthorizationRequiredError(err)}
	_, err = h.RefreshToken(ctx, renewed.RefreshToken)
	var refused transport.OAuthError
	if errors.As(err, &refused) {
		seen["revoked_refresh"] = refused.ErrorCode
	} else {
		seen["revoked_refresh"] = fmt.Sprint(err)
	}
	return seen, nil
}

// call returns what the tool says of its caller.
func call(ctx context.Context, c *client.Client, id string) []any {
	got, err := c.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "whoami"}})
	if err != nil {
		return []any{strings.TrimSpace(err.Error())}
	}
	who, ok := got.StructuredContent.(map[string]any)
	if !ok {
		return []any{got.IsError, "no content"}
	}
	return []any{got.IsError, who["subject"] != "", who["client"] == id, who["scopes"]}
}
