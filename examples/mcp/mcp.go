package main

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/resource"
)

// scopeCall is the scope that the tools require.
const scopeCall = "tools:call"

// #region protect

// protected mounts an MCP server behind tokens. tokens is any scheme that accepts them: it has the
// audience api.Resource() and names api.URL() in its challenges.
func protected(tokens authn.Authenticator, api *resource.Metadata, tools *mcp.Server, opts *authn.Options) *authz.Mux {
	// Without a session of the transport, each request runs its tools as its own caller.
	transport := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true})
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, opts)).RequireScopes()
	mux.Handle("/mcp", transport, authz.HasScope(scopeCall))
	mux.Public(api.Path(), api)
	return mux
}

// #endregion protect

// #region tools

// newTools returns an MCP server with one tool.
func newTools() *mcp.Server {
	tools := mcp.NewServer(&mcp.Implementation{Name: "vestibule-example", Version: "1.0.0"}, nil)
	mcp.AddTool(tools, &mcp.Tool{Name: "whoami", Description: "Returns the user and the client of the call."}, whoami)
	return tools
}

// Caller is the result of the tool whoami.
type Caller struct {
	Subject string   `json:"subject"`
	Client  string   `json:"client"`
	Scopes  []string `json:"scopes"`
}

func whoami(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, Caller, error) {
	id := authn.FromContext(ctx)
	return nil, Caller{Subject: id.Subject, Client: id.Client, Scopes: id.Scopes}, nil
}

// #endregion tools
