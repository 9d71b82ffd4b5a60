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

// Options change a Provider; nil is fine.
type Options struct {
	// TTL is the lifetime of an ID token; an hour if 0.
	TTL time.Duration
	// Claims returns further claims of a user for these scopes, for the ID token and UserInfo.
	// nil returns "preferred_username" for the scope profile, and for email "email" with
	// "email_verified" false, because the store keeps any address: if you verify addresses, say
	// so with a function of your own. Names that
	// OpenID Connect defines for tokens are reserved and ignored. Its error is a fault. It is called
	// outside of the store's transaction, and may ask a directory.
	Claims func(ctx context.Context, u storage.User, scopes []string) (map[string]any, error)
	// Sessions are the application's sessions, and EndSession ends the session of a request:
	// session.Scheme.EndCurrent. Logout requires both; without EndSession there is no logout.
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

// New makes a server an OpenID Provider. The server needs SigningKeys. Clients that request the
// scope openid get ID tokens.
func New(srv *server.Server, opts *Options) (*Provider, error) {
	if srv == nil {
		return nil, errors.New("openid: New: srv is nil")
	}
	p := &Provider{server: srv, scheme: srv.Scheme(), log: srv.Options().Logger}
	if opts != nil {
		p.opts = *opts
	}
	p.opts.TTL = cmp.Or(p.opts.TTL, time.Hour)
	switch {
	case srv.Options().SigningKeys == nil:
		return nil, errors.New("openid: New: the server has no SigningKeys")
	case p.opts.TTL < time.Second:
		return nil, errors.New("openid: New: TTL is below 1s")
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
		Scopes: map[string]string{scopeOpenID: "Know that it is you"}, IgnoredScopes: []string{oauth2.ScopeOfflineAccess},
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
