package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/observe/health"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// newServer puts the schemes together.
func newServer(ctx context.Context, cfg *config, db cached.Base, ring *keys.Ring) (http.Handler, error) {
	announce(ctx, cfg, db, ring)
	base := db
	if cfg.Cache > 0 {
		kept, err := keep(ctx, cfg, db)
		if err != nil {
			return nil, err
		}
		db = kept
	}
	passwords, err := cfg.Passwords(db, ring)
	if err != nil {
		return nil, err
	}
	if err := cfg.AddUsers(ctx, db, passwords); err != nil {
		return nil, err
	}
	var basicPasswords authn.PasswordChecker = passwords
	if cfg.Cache > 0 {
		basicPasswords, err = password.Cached(passwords, &password.CacheOptions{TTL: min(cfg.Cache, time.Minute)})
		if err != nil {
			return nil, err
		}
	}
	tokens, err := token.New(db, ring, nil)
	if err != nil {
		return nil, err
	}
	site, err := cfg.site()
	if err != nil {
		return nil, err
	}
	devices, err := knox.New(db, &knox.Options{TTL: cfg.KnoxTTL})
	if err != nil {
		return nil, err
	}
	jwts, err := newJWT(ctx, cfg, db, ring)
	if err != nil {
		return nil, err
	}
	basicAuth, err := basic.New(basicPasswords, cfg.basicOptions(site))
	if err != nil {
		return nil, err
	}
	rows, err := cfg.sessions(db)
	if err != nil {
		return nil, err
	}
	browsers, err := session.New(rows, site, &session.Options{Proxies: cfg.Proxies})
	if err != nil {
		return nil, err
	}

	grants, oauth2Routes, err := newOAuth2(ctx, cfg, db, ring, browsers)
	if err != nil {
		return nil, err
	}

	options, err := cfg.Auth()
	if err != nil {
		return nil, err
	}
	auth := authn.New(authn.Chain{browsers, jwts, grants, devices, tokens, basicAuth}, options)
	mux := authz.NewMux(auth).RequireScopes() // clients of OAuth2 do what a scope allows, or what a route says
	mux.Public("GET /trace", trace(auth))
	mux.HandleFunc("POST /measure", measure(mux), authz.IsAuthenticated, authz.NoScopeNeeded)
	mux.Public("POST /token/login", tokens.Login(passwords))
	mux.Public("POST /token/logout", tokens.Logout())
	mux.Public("POST /knox/login", devices.Login(passwords))
	mux.Public("POST /knox/logout", devices.Logout())
	mux.Public("POST /knox/logoutall", devices.LogoutAll())
	mux.Handle("GET /knox/tokens", devices.Tokens(), authz.FirstParty)
	mux.Handle("DELETE /knox/tokens/{id}", devices.RevokeOne(), authz.FirstParty)
	mux.Public("POST /jwt/token", jwts.Login(passwords))
	mux.Public("POST /jwt/token/refresh", jwts.RefreshPair())
	mux.Public("POST /jwt/token/verify", jwts.Verify())
	mux.Public("POST /jwt/token/blacklist", jwts.Blocklist())
	mux.Public("/.well-known/jwks.json", jwts.JWKS()) // without a method: browsers ask by OPTIONS first
	mux.Public("POST /session/login", browsers.Login(passwords))
	mux.Public("POST /session/logout", browsers.Logout())
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	checks := healthChecks(ctx, cfg, base, db)
	mux.Public("GET /healthz", health.Live(checks))
	mux.Public("GET /readyz", health.Ready(checks))
	mountOAuth2(mux, oauth2Routes)
	mayProfile := authz.And(authz.IsAuthenticated, authz.HasScope("profile"))
	mux.HandleFunc("GET /api/profile", profile, mayProfile)
	for name, scheme := range map[string]authn.Authenticator{"session": browsers, "jwt": jwts, "oauth2": grants, "knox": devices, "token": tokens, "basic": basicAuth} {
		mux.With(authn.New(scheme, options)).HandleFunc("GET /api/"+name+"/profile", profile, mayProfile)
	}
	mux.HandleFunc("GET /api/open", open, authz.AllowAny)
	mux.HandleFunc("GET /api/admin", profile, authz.IsAdmin)
	mux.HandleFunc("POST /logout-everywhere", logoutEverywhere(db), authz.FirstParty)
	newNotes().routes(mux)
	if err := pageRoutes(mux, cfg); err != nil {
		return nil, err
	}
	return withForwardAuth(mux, cfg, site, auth)
}

// issuer and audience name the server in its JWTs. A real one uses its own URLs.
const (
	issuer   = "https://compare.vestibule.example"
	audience = "https://compare.vestibule.example/api"
)

// newJWT makes the JWT scheme, with signing keys that live in the database.
func newJWT(ctx context.Context, cfg *config, db cached.Base, ring *keys.Ring) (*jwt.Scheme, error) {
	signing, err := jwt.NewStoredKeys(db, ring, issuer, &jwt.KeyOptions{Algorithm: cfg.JWTAlgorithm})
	if err != nil {
		return nil, err
	}
	if err := signing.Ensure(ctx); err != nil {
		return nil, err
	}
	if want := string(cfg.JWTAlgorithm); want != "" {
		list, err := signing.List(ctx)
		if err != nil {
			return nil, err
		}
		if have := list[0].Algorithm; have != want {
			return nil, fmt.Errorf("-jwt-alg %s: the database has a key for %s; vestibule keys rotate makes another", want, have)
		}
	}
	opts := &jwt.Options{
		AccessTTL: cfg.AccessTTL, RefreshTTL: cfg.RefreshTTL, Grace: cfg.Grace,
		AbsoluteTTL: max(30*24*time.Hour, cfg.RefreshTTL), Proxies: cfg.Proxies,
	}
	if cfg.Cache == 0 {
		opts.CacheEntries = -1
	}
	return jwt.New(issuer, audience, signing, db, opts)
}

func profile(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	var email string
	if u, ok := authn.UserFrom[*storage.Account](r.Context()); ok {
		email = u.Email
	}
	writeJSON(w, http.StatusOK, struct {
		Username string `json:"username"`
		Email    string `json:"email"`
		Scheme   string `json:"scheme"`
		Client   string `json:"client,omitempty"`
	}{displayName(r), email, id.Scheme, id.Client})
}

func open(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Username string `json:"username"`
	}{displayName(r)})
}

// displayName is the account's name, or "" for the anonymous.
func displayName(r *http.Request) string {
	if u, ok := authn.UserFrom[*storage.Account](r.Context()); ok {
		return u.Name
	}
	return ""
}

// logoutEverywhere ends every credential of the caller, of every scheme, with one
// write. What could not be cleaned up after it is for the log.
func logoutEverywhere(subjects storage.Subjects) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := storage.LogoutEverywhere(r.Context(), subjects, authn.FromContext(r.Context()).Subject)
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		if out.Uncleaned != nil {
			slog.Warn("records of ended credentials are left", "error", out.Uncleaned)
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
