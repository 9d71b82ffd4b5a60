package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// newOAuth2 makes the authorization server, with two demo clients.
func newOAuth2(ctx context.Context, cfg *config, db cached.Base, ring *keys.Ring, browsers *session.Scheme) (*oauth2.Server, error) {
	hasher, err := cfg.Hasher() // for the one chosen secret; a real client's is generated
	if err != nil {
		return nil, err
	}
	limiter, err := cfg.Limiter(ring)
	if err != nil {
		return nil, err
	}
	// All clients verify RS256 (OpenID Connect Core section 15.1).
	signing, err := jwt.NewStoredKeys(db, ring, issuer+"/oauth2", &jwt.KeyOptions{Algorithm: jose.RS256})
	if err != nil {
		return nil, err
	}
	if err := signing.Ensure(ctx); err != nil {
		return nil, err
	}
	s, err := oauth2.New(cfg.Base, db, &oauth2.Options{
		Audience: cfg.Base, // the API is under the same origin
		Scopes:   map[string]string{"profile": "See your name", "email": "See your e-mail address", "notes:read": "Read notes", "notes:write": "Write and delete your notes"},
		Session:  session.Of, Token: session.Token, InsecureChosenSecrets: hasher, Limiter: limiter, InsecureNoLimiter: limiter == nil, Grace: cfg.Grace, Keys: ring, Proxies: cfg.Proxies,
		SigningKeys: signing, OpenID: &oauth2.OpenID{EndSession: browsers.LogOut}, DPoP: &oauth2.DPoP{},
	})
	if err != nil {
		return nil, err
	}
	scopes := []string{"openid", "profile", "email", "notes:read", "notes:write"}
	for _, c := range []storage.Client{
		{ID: "demo-public", Name: "Public demo", Method: oauth2.None, Native: true, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.DeviceCode}},
		{ID: "demo-confidential", Name: "Confidential demo", Method: oauth2.SecretBasic, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials}, Serves: []string{cfg.Base}},
	} {
		c.Scopes, c.Default, c.RedirectURIs, c.LogoutURIs, c.Created = scopes, []string{"profile"}, []string{"http://127.0.0.1/callback"}, []string{"http://127.0.0.1/"}, time.Now()
		if err := addClient(ctx, db, hasher, c, "demo-secret"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// addClient registers a client that is not there yet. One that is there serves this server's
// audience, which is another one where the address was.
func addClient(ctx context.Context, db cached.Base, hasher *password.Hasher, c storage.Client, secret string) error {
	old, err := db.ClientByID(ctx, c.ID)
	if err == nil && !slices.Equal(old.Serves, c.Serves) {
		old.Serves = c.Serves
		err = db.UpdateClient(ctx, old)
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if !c.Public() {
		if c.Password, err = hasher.Hash(ctx, "", secret); err != nil {
			return err
		}
	}
	err = db.CreateClient(ctx, c)
	if errors.Is(err, storage.ErrConflict) { // another process was first
		return nil
	}
	return err
}

// oauth2Routes mounts the server's endpoints. Its pages stand behind the chain, since they ask
// who is logged in; the others read their client's own credential.
func oauth2Routes(mux *authz.Mux, s *oauth2.Server) {
	mux.Handle("/oauth2/authorize", s.Authorize("/login"), authz.AllowAny)
	mux.Handle("/oauth2/device", s.Device("/login"), authz.AllowAny)
	mux.Bare("/oauth2/device_authorization", s.DeviceAuthorization())
	mux.Handle("GET /oauth2/grants", s.Grants(), authz.FirstParty)
	mux.Handle("DELETE /oauth2/grants/{id}", s.RevokeGrant(), authz.FirstParty)
	mux.Handle("/oauth2/applications", s.GrantsPage("/login"), authz.AllowAny)
	mux.Bare("/oauth2/token", s.Token())
	mux.Bare("/oauth2/revoke", s.Revoke())
	mux.Bare("/oauth2/introspect", s.Introspect())
	mux.Bare("/oauth2/par", s.Push())
	mux.Handle("/oauth2/logout", s.Logout(), authz.AllowAny)
	mux.Bare("/oauth2/userinfo", s.Userinfo())
	mux.Bare("/oauth2/jwks", s.JWKS())
	mux.Bare("/.well-known/oauth-authorization-server", s.Metadata())
	mux.Bare("/.well-known/openid-configuration", s.Metadata())
}
