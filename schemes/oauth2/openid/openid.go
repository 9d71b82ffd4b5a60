package openid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options configure a [Provider]. A nil *Options means all defaults.
type Options struct {
	// TTL is the lifetime of an ID token, at least 1 second; 0 means one hour.
	TTL time.Duration
	// IDTokenClaims are the names of claims about the user that the ID token contains, too. Nil
	// means none: clients read them from UserInfo (OpenID Connect Core, section 5.4), because ID
	// tokens are stored in logs and histories. Set it for software that reads only the ID token,
	// such as Kubernetes with "groups".
	IDTokenClaims []string
	// Claims returns additional claims of a user for these scopes, for UserInfo and IDTokenClaims.
	// Names that OpenID Connect defines for tokens are reserved and ignored. An error is a server
	// error. Claims is called outside the store's transaction, so it can call other servers.
	//
	// Nil returns "preferred_username" for the scope profile. For the scope email it returns
	// "email" with "email_verified" false, because the store accepts any address. If you verify
	// addresses, set your own function.
	Claims func(ctx context.Context, u storage.User, scopes []string) (map[string]any, error)
	// Sessions are the application's sessions. EndSession ends the session of a request; use
	// session.Scheme.EndCurrent. Logout requires both. Without EndSession there is no logout
	// endpoint.
	Sessions   server.Sessions
	EndSession func(http.ResponseWriter, *http.Request) error
	// RenderLogout writes the page that asks a user whether to log out, after status and headers
	// were set. nil writes a plain page. The page is sent when RenderLogout returns; if it panics,
	// the answer is 500.
	RenderLogout func(w http.ResponseWriter, r *http.Request, l LogoutPage)
}

// Provider is the OpenID part of a server. It is safe for concurrent use.
type Provider struct {
	server *server.Server
	scheme *oauth2.Scheme
	log    *slog.Logger
	opts   Options
}

// New makes a server an OpenID Provider. Clients that request the scope openid get ID tokens. New
// returns an error if srv is nil or has no SigningKeys, or if an option is out of range.
func New(srv *server.Server, opts *Options) (*Provider, error) {
	if srv == nil {
		return nil, errors.New("openid: New: srv is required")
	}
	p := &Provider{server: srv, scheme: srv.Scheme(), log: srv.Options().Logger}
	if opts != nil {
		p.opts = *opts
	}
	p.opts.TTL = cmp.Or(p.opts.TTL, time.Hour)
	switch {
	case srv.Options().SigningKeys == nil:
		return nil, errors.New("openid: New: server.Options.SigningKeys is required")
	case p.opts.TTL < time.Second:
		return nil, errors.New("openid: New: TTL out of range (at least 1s)")
	case p.opts.EndSession != nil && p.opts.Sessions.Of == nil:
		return nil, errors.New("openid: New: EndSession requires Sessions.Of")
	}
	e := srv.Options().Endpoints
	routes := []server.Route{
		srv.Route(e.UserInfo, p.UserInfo(), server.ForClients),
		srv.Route("/.well-known/openid-configuration", srv.Metadata(), server.ForClients),
	}
	if p.opts.EndSession != nil {
		routes = append(routes, srv.Route(e.Logout, p.Logout(), server.ForVisitors))
	}
	err := srv.Extend(server.Extension{
		Scopes: map[string]string{scopeOpenID: "Know who you are"}, IgnoredScopes: []string{oauth2.ScopeOfflineAccess},
		IDTokens: p, Metadata: p.metadata, Routes: routes,
	})
	if err != nil {
		return nil, fmt.Errorf("openid: New: %w", err)
	}
	return p, nil
}

const (
	// scopeOpenID is the scope that requests an ID token.
	scopeOpenID = "openid"
	// typeID is the "typ" of ID tokens.
	typeID = "JWT"
)
