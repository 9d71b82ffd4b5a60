package oauthtest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/exchange"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/registration"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options are those of all packages of OAuth 2.0 at once, so that a test can change any of them.
type Options struct {
	// Of oauth2.Options. SignedAccess makes access tokens JWTs of SigningKeys.
	Audience     string
	Grace        time.Duration
	SignedAccess bool
	InsecureHTTP bool
	User         func(context.Context, storage.Account) (authn.User, error)
	Clock        func() time.Time
	// Of server.Options.
	AccessClaims                                           func(context.Context, server.AccessGrant) (map[string]any, error)
	AccessTTL, CodeTTL, DeviceTTL, RefreshTTL, AbsoluteTTL time.Duration
	Scopes                                                 map[string]string
	SigningKeys                                            server.Keys
	Keys                                                   *keys.Ring
	Endpoints                                              Endpoints
	Origins                                                []string
	Proxies                                                authn.TrustedProxies
	InsecureOptionalPKCE, InsecureImplicitGrant            bool
	InsecurePasswordGrant                                  authn.PasswordChecker
	Limits                                                 *Limits
	InsecureNoLimits                                       bool
	Audit                                                  *audit.Notifier
	Logger                                                 *slog.Logger
	Rand                                                   io.Reader
	ClientDocuments                                        *server.ClientDocuments
	Fetching                                               server.Fetching
	RequirePushed, FAPI2, StrictACR, AllowLocalhostPorts   bool
	ACRValues                                              []string
	// Of server.ChosenSecrets.
	InsecureChosenSecrets server.SecretVerifier
	Limiter               authn.LoginLimiter
	InsecureNoLimiter     bool
	// Of server.Sessions; without Session there are no pages.
	Session func(authn.Identity) (session string, epoch int64, ok bool)
	Token   func(authn.Identity) string
	// Of consent.Options.
	RenderConsent   func(w http.ResponseWriter, r *http.Request, c consent.Consent)
	RenderDevice    func(w http.ResponseWriter, r *http.Request, d consent.DevicePage)
	RenderGrants    func(w http.ResponseWriter, r *http.Request, g consent.GrantsView)
	RememberConsent time.Duration
	// The packages that a server may have; nil is without.
	DPoP         *DPoP
	OpenID       *OpenID
	Registration *Registration
	Exchange     bool // package exchange
}

// DPoP are the options of proofs.
type DPoP struct {
	Required bool
	Origin   string
	Nonces   *keys.Ring
}

// OpenID are the options of package openid, without the sessions.
type OpenID struct {
	TTL        time.Duration
	InIDToken  []string // IDTokenClaims
	Claims     func(ctx context.Context, u storage.User, scopes []string) (map[string]any, error)
	EndSession func(http.ResponseWriter, *http.Request) error
	Render     func(http.ResponseWriter, *http.Request, openid.LogoutPage)
}

// Registration are the options of package registration, with its required function.
type Registration struct {
	Allow                     func(*http.Request) error
	Scopes, Resources, Grants []string
	Default                   []string
}

// The types of package server that the tests name.
type (
	Endpoints = server.Endpoints
	Limits    = server.Limits
	Cell      = server.Cell
)

// Server is a whole server: each package that the options name.
type Server struct {
	*server.Server
	*parts
}

type parts struct {
	*openid.Provider
	*registration.Registration
	sessions server.Sessions
	consent  *consent.Options

	mu    sync.Mutex
	built map[string]*consent.Pages // by login page: a server is extended once for each
}

// New returns a whole server.
func New(issuer string, store server.Store, o *Options) (*Server, error) {
	api := oauth2.Options{Audience: o.Audience, Grace: o.Grace, InsecureHTTP: o.InsecureHTTP, User: o.User, Clock: o.Clock}
	engine := server.Options{
		Lifetimes: server.Lifetimes{AccessTTL: o.AccessTTL, CodeTTL: o.CodeTTL, DeviceTTL: o.DeviceTTL, RefreshTTL: o.RefreshTTL, AbsoluteTTL: o.AbsoluteTTL},
		Scopes:    o.Scopes, SigningKeys: o.SigningKeys, Keys: o.Keys, Endpoints: o.Endpoints, Origins: o.Origins, Proxies: o.Proxies,
		InsecureOptionalPKCE: o.InsecureOptionalPKCE, InsecureImplicitGrant: o.InsecureImplicitGrant, InsecurePasswordGrant: o.InsecurePasswordGrant,
		AccessClaims: o.AccessClaims, ClientDocuments: o.ClientDocuments, Fetching: o.Fetching, RequirePushed: o.RequirePushed, FAPI2: o.FAPI2, ACRValues: o.ACRValues, StrictACR: o.StrictACR, AllowLocalhostPorts: o.AllowLocalhostPorts,
		Limits: o.Limits, InsecureNoLimits: o.InsecureNoLimits, Audit: o.Audit, Logger: o.Logger, Rand: o.Rand,
	}
	if o.SignedAccess {
		api.SignedAccess = o.SigningKeys
		if o.SigningKeys == nil {
			api.SignedAccess = (*jose.KeySet)(nil) // which a server over the scheme rejects
		}
	}
	if o.DPoP != nil {
		proofs, err := dpop.New(issuer, store, &dpop.Options{Nonces: o.DPoP.Nonces, Clock: o.Clock})
		if err != nil {
			return nil, err
		}
		api.DPoP, api.Origin, engine.RequireDPoP = proofs, o.DPoP.Origin, o.DPoP.Required
	}
	if o.InsecureChosenSecrets != nil {
		engine.InsecureChosenSecrets = &server.ChosenSecrets{Verifier: o.InsecureChosenSecrets, Limiter: o.Limiter, InsecureNoLimiter: o.InsecureNoLimiter}
	}
	scheme, err := oauth2.New(issuer, store, &api)
	if err != nil {
		return nil, err
	}
	s := &Server{parts: &parts{built: map[string]*consent.Pages{}, sessions: server.Sessions{Of: o.Session, Token: o.Token}, consent: &consent.Options{Render: o.RenderConsent, RenderDevice: o.RenderDevice, RenderGrants: o.RenderGrants, Remember: o.RememberConsent}}}
	if s.Server, err = server.New(scheme, store, &engine); err != nil {
		return nil, err
	}
	if p := o.OpenID; p != nil {
		if s.Provider, err = openid.New(s.Server, &openid.Options{TTL: p.TTL, IDTokenClaims: p.InIDToken, Claims: p.Claims, Sessions: s.sessions, EndSession: p.EndSession, RenderLogout: p.Render}); err != nil {
			return nil, err
		}
	}
	if g := o.Registration; g != nil {
		if s.Registration, err = registration.New(s.Server, g.Allow, &registration.Options{Scopes: g.Scopes, Resources: g.Resources, Grants: g.Grants, Default: g.Default}); err != nil {
			return nil, err
		}
	}
	if o.Exchange {
		if err := exchange.Add(s.Server); err != nil {
			return nil, err
		}
	}
	if o.Session != nil || o.RememberConsent != 0 {
		sessions := s.sessions
		if sessions.Of == nil {
			sessions.Of = SessionOf
		}
		if s.built["/login"], err = consent.New(s.Server, sessions, "/login", s.consent); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// pages returns the pages with that login page.
func (s *Server) pages(login string) *consent.Pages {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.built[login]
	if p == nil {
		var err error
		if p, err = consent.New(s.Server, s.sessions, login, s.consent); err != nil {
			panic(err)
		}
		s.built[login] = p
	}
	return p
}

// The pages, for any login page.

func (s *Server) Authorize(login string) http.Handler  { return s.pages(login).Authorize() }
func (s *Server) Device(login string) http.Handler     { return s.pages(login).Device() }
func (s *Server) GrantsPage(login string) http.Handler { return s.pages(login).GrantsPage() }
func (s *Server) Grants() http.Handler                 { return s.pages("/login").Grants() }
func (s *Server) RevokeGrant() http.Handler            { return s.pages("/login").RevokeGrant() }

// Scheme returns the scheme of the world's server.
func (w *World) Scheme() *oauth2.Scheme { return w.Server.Scheme() }
