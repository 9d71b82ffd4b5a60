package main

import (
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/registration"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/resource"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// config is what differs between this program and its tests.
type config struct {
	issuer   string // the address that clients use
	site     *csrf.Site
	clients  []string // origins of pages that may call the tools
	auth     *authn.Options
	fetching server.Fetching
}

// newServer returns the MCP server and its authorization server.
func newServer(cfg config, db *gormstore.Store, ring *keys.Ring, passwords *password.Checker) (http.Handler, error) {
	// #region resource
	scopes := map[string]string{scopeCall: "Call tools as you"}
	api, err := resource.New(cfg.issuer+"/mcp", []string{cfg.issuer}, &resource.Options{Scopes: []string{scopeCall}, Name: "Example tools"})
	if err != nil {
		return nil, err
	}
	tokens, err := oauth2.New(cfg.issuer, db, &oauth2.Options{Audience: api.Resource(), ResourceMetadata: api.URL()})
	if err != nil {
		return nil, err
	}
	// #endregion resource

	// #region clients
	srv, err := server.New(tokens, db, &server.Options{
		Keys: ring, Scopes: scopes,
		Origins:         []string{"*"}, // clients can be pages; these endpoints read no cookie
		ClientDocuments: &server.ClientDocuments{Scopes: []string{scopeCall}},
		Fetching:        cfg.fetching,
	})
	if err != nil {
		return nil, err
	}
	// Everyone can register; server.Limits bounds how many do.
	everyone := func(*http.Request) error { return nil }
	if _, err := registration.New(srv, everyone, &registration.Options{Scopes: []string{scopeCall}}); err != nil {
		return nil, err
	}
	// #endregion clients

	browsers, err := session.New(db, cfg.site, nil)
	if err != nil {
		return nil, err
	}
	if _, err := consent.New(srv, server.Sessions{Of: browsers.FromIdentity, Token: session.Token}, "/login", nil); err != nil {
		return nil, err
	}
	pages := authz.NewMux(authn.New(authn.Chain{browsers}, cfg.auth))
	pages.Public("/login", browsers.LoginForm(passwords, nil))
	pages.Public("POST /logout", browsers.LogoutForm("/login"))
	for _, r := range srv.Routes() {
		switch r.Access {
		case server.ForClients: // the endpoint reads the client's own credentials
			pages.Public(r.Pattern, r.Handler)
		case server.ForVisitors: // pages that send anonymous visitors to the login
			pages.Handle(r.Pattern, r.Handler, authz.AllowAny)
		case server.ForAccounts: // for the user only
			pages.Handle(r.Pattern, r.Handler, authz.FirstParty)
		default:
			return nil, fmt.Errorf("route %s: unknown access %v", r.Pattern, r.Access)
		}
	}

	// #region mount
	// The tools have a chain of their own, so a session cookie never calls them.
	mux := http.NewServeMux()
	tools := protected(tokens, api, newTools(), cfg.auth)
	mux.Handle("/mcp", knownPages(cfg.site, cfg.clients, tools))
	mux.Handle(api.Path(), tools)
	mux.Handle("/", pages)
	// #endregion mount
	return mux, nil
}
