package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// newOAuth2 returns the scheme that accepts OAuth 2.0 tokens, and the routes of the authorization
// server that issues them, with two demo clients.
func newOAuth2(ctx context.Context, cfg *config, db cached.Base, ring *keys.Ring, browsers *session.Scheme) (*oauth2.Scheme, []server.Route, error) {
	hasher, err := cfg.Hasher() // for the one chosen secret; a real client's is generated
	if err != nil {
		return nil, nil, err
	}
	limiter, err := cfg.Limiter(ring)
	if err != nil {
		return nil, nil, err
	}
	// All clients verify RS256 (OpenID Connect Core section 15.1).
	signing, err := jwt.NewStoredKeys(db, ring, issuer+"/oauth2", &jwt.KeyOptions{Algorithm: jose.RS256})
	if err != nil {
		return nil, nil, err
	}
	if err := signing.Ensure(ctx); err != nil {
		return nil, nil, err
	}
	proofs, err := dpop.New(cfg.Base, cfg.proofs(db), nil)
	if err != nil {
		return nil, nil, err
	}
	// The API is under the same origin.
	api, err := oauth2.New(cfg.Base, db, &oauth2.Options{Audience: cfg.Base, DPoP: proofs, Grace: cfg.Grace})
	if err != nil {
		return nil, nil, err
	}
	srv, err := server.New(api, db, &server.Options{
		ClientDocuments:       &server.ClientDocuments{Scopes: demoScopes()},
		Scopes:                map[string]string{"profile": "See your name", "email": "See your e-mail address", "notes:read": "Read notes", "notes:write": "Write and delete your notes"},
		InsecureChosenSecrets: &server.ChosenSecrets{Verifier: hasher, Limiter: limiter, InsecureNoLimiter: limiter == nil},
		Keys:                  ring, SigningKeys: signing, Proxies: cfg.Proxies,
		Limits: cfg.limits(),
	})
	if err != nil {
		return nil, nil, err
	}
	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	if _, err := openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent, IDTokenClaims: []string{"preferred_username", "email"}}); err != nil {
		return nil, nil, err
	}
	if _, err := consent.New(srv, sessions, "/login", nil); err != nil {
		return nil, nil, err
	}
	if err := addClients(ctx, cfg, db, hasher); err != nil {
		return nil, nil, err
	}
	return api, srv.Routes(), nil
}

// demoClient is the confidential demo client.
const demoClient = "demo-confidential"

// demoSecret is the demo client's secret, which everybody knows.
const demoSecret = "demo-secret"

// demoScopes are the scopes that clients may request.
func demoScopes() []string {
	return []string{"openid", "profile", "email", "notes:read", "notes:write"}
}

// addClients adds the demo clients. Everybody knows the secret of one of them, and it may
// introspect, so they are added to demo databases only.
func addClients(ctx context.Context, cfg *config, db cached.Base, hasher *password.Hasher) error {
	var missing []string
	for _, c := range []storage.Client{
		{ID: "demo-public", Name: "Public demo", Method: oauth2.None, Native: true, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.DeviceCode}},
		{ID: demoClient, Name: "Confidential demo", Method: oauth2.SecretBasic, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials}, Serves: []string{cfg.Base}},
	} {
		old, err := db.ClientByID(ctx, c.ID)
		switch {
		case err == nil:
			err = serveHere(ctx, db, hasher, old, c.Serves)
		case errors.Is(err, storage.ErrNotFound) && cfg.IsDemo():
			c.Scopes, c.Default, c.RedirectURIs, c.LogoutURIs, c.Created = demoScopes(), []string{"profile"}, []string{"http://127.0.0.1/callback"}, []string{"http://127.0.0.1/"}, time.Now()
			err = addClient(ctx, db, hasher, c)
		case errors.Is(err, storage.ErrNotFound):
			missing, err = append(missing, c.ID), nil
		}
		if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		slog.Warn("demo clients not added: existing database", "clients", missing, "flag", "-demo")
	}
	return nil
}

// serveHere lets the demo client of an earlier run serve this server's audience, which changes with
// its address. A client with another secret is somebody else's.
func serveHere(ctx context.Context, db cached.Base, hasher *password.Hasher, c storage.Client, serves []string) error {
	if c.ID != demoClient || slices.Equal(c.Serves, serves) {
		return nil
	}
	ok, _, err := hasher.Verify(ctx, "", c.Password, demoSecret)
	if err != nil || !ok {
		return err
	}
	return storage.ChangeClient(ctx, db, c.ID, func(c *storage.Client) error {
		c.Serves = serves
		return nil
	})
}

// addClient registers a client.
func addClient(ctx context.Context, db cached.Base, hasher *password.Hasher, c storage.Client) (err error) {
	if !c.Public() {
		if c.Password, err = hasher.Hash(ctx, "", demoSecret); err != nil {
			return err
		}
	}
	err = db.CreateClient(ctx, c)
	if errors.Is(err, storage.ErrConflict) { // another process was first
		return nil
	}
	return err
}

// mountOAuth2 mounts the routes of the authorization server. Clients authenticate at their own
// endpoints, so these are outside the chain; the pages are behind it, since they need the user.
func mountOAuth2(mux *authz.Mux, routes []server.Route) {
	for _, r := range routes {
		switch r.Access {
		case server.ForClients:
			mux.Public(r.Pattern, r.Handler)
		case server.ForVisitors:
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		case server.ForAccounts:
			mux.Handle(r.Pattern, r.Handler, authz.FirstParty)
		}
	}
}
