//go:build linux

package hydra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	authserver "github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Settings are what Serve reads from standard input.
type Settings struct {
	// Database is a PostgreSQL URL; "" means a store in memory, for tests.
	Database string
	// Cached puts storage/cached with the notify courier in front of it.
	Cached bool
}

// Address is what Serve writes to standard output.
type Address struct{ Addr, Client, Secret string }

// users is the number of accounts. It is large because a user can approve 600 requests per hour.
const users = 4096

func userID(n int) string { return fmt.Sprintf("user-%04d", n%users) }

// Serve runs Vestibule's authorization server until ctx ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var cfg Settings
	if err := json.NewDecoder(in).Decode(&cfg); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h, address, err := newHandler(ctx, cfg, listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := json.NewEncoder(out).Encode(address); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// openStore opens the store, with one client and the users.
func openStore(ctx context.Context, cfg Settings) (store cached.Base, a Address, err error) {
	store = memory.New(nil)
	if cfg.Database != "" {
		db, err := postgres.Open(cfg.Database, nil)
		if err != nil {
			return nil, a, err
		}
		if err := db.Migrate(ctx); err != nil {
			return nil, a, err
		}
		store = db
		if cfg.Cached {
			courier, err := postgres.NewNotify(ctx, db, nil)
			if err != nil {
				return nil, a, err
			}
			front, err := cached.New(db, &cached.Options{Courier: courier})
			if err != nil {
				return nil, a, err
			}
			go func() { _ = front.Run(ctx) }()
			store = front
		}
	}
	for n := range users {
		u := storage.User{ID: userID(n), Name: userID(n), Active: true, Created: time.Now()}
		if err := store.CreateUser(ctx, u); err != nil {
			return nil, a, err
		}
	}
	c := storage.Client{
		ID: "bench", Name: "Benchmark", Method: oauth2.SecretBasic, Created: time.Now(), RedirectURIs: []string{redirectURI},
		Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials},
		Scopes: []string{"openid", "profile", "offline_access"}, Default: []string{"profile"},
	}
	a.Client = c.ID
	if a.Secret, c.Secret, err = oauth2.NewSecret(); err != nil {
		return nil, a, err
	}
	return store, a, store.CreateClient(ctx, c)
}

// newHandler returns the authorization server, with its default settings. Its login page is replaced
// by POST /login?user=N, which logs in without a password, as Hydra's does in this benchmark.
func newHandler(ctx context.Context, cfg Settings, addr string) (http.Handler, Address, error) {
	store, a, err := openStore(ctx, cfg)
	if err != nil {
		return nil, a, err
	}
	a.Addr = addr
	issuer := "http://" + addr
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		return nil, a, err
	}
	signing, err := jwt.NewStoredKeys(store, ring, issuer, &jwt.KeyOptions{Algorithm: jose.RS256})
	if err != nil {
		return nil, a, err
	}
	if err := signing.Ensure(ctx); err != nil {
		return nil, a, err
	}
	quiet := slog.New(slog.DiscardHandler) // Hydra logs errors only
	browsers, err := session.New(store, csrf.Loopback(), nil)
	if err != nil {
		return nil, a, err
	}
	api, err := oauth2.New(issuer, store, &oauth2.Options{Audience: issuer})
	if err != nil {
		return nil, a, err
	}
	srv, err := authserver.New(api, store, &authserver.Options{
		Scopes: map[string]string{"profile": "See your name"}, Keys: ring, SigningKeys: signing, Logger: quiet,
	})
	if err != nil {
		return nil, a, err
	}
	sessions := authserver.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	if _, err := openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent}); err != nil {
		return nil, a, err
	}
	if _, err := consent.New(srv, sessions, "/login", nil); err != nil {
		return nil, a, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{browsers, api}, &authn.Options{Logger: quiet})).RequireScopes()
	mux.Public("POST /login", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("user")
		if err := browsers.Start(w, r, authn.Login{Subject: id, Name: id}); err != nil {
			authn.Respond(w, r, err)
		}
	}))
	for _, r := range srv.Routes() {
		switch r.Access {
		case authserver.ForClients:
			mux.Public(r.Pattern, r.Handler)
		case authserver.ForVisitors:
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		case authserver.ForAccounts:
			mux.Handle(r.Pattern, r.Handler, authz.FirstParty)
		}
	}
	return mux, a, nil
}

// ours returns the server at an address.
func ours(a Address) *server {
	return &server{
		name: "vestibule", public: a.Addr, token: "/oauth2/token", userinfo: "/oauth2/userinfo", authorize: "/oauth2/authorize",
		introspectAddr: a.Addr, introspect: "/oauth2/introspect", introspectAuth: true, clientID: a.Client, secret: a.Secret, login: loginOurs,
	}
}

var hidden = regexp.MustCompile(`name="(handle|csrfmiddlewaretoken)" value="([^"]*)"`)

// loginOurs logs a user in, and sends the form of the consent page.
func loginOurs(c *client, s *server, user int, query string) (string, error) {
	jar := cookies{}
	a, err := c.do(request{Addr: s.public, Path: "/login?user=" + userID(user), Post: true, Header: "Origin: http://" + s.public + "\r\n"})
	if err == nil {
		err = a.want(200, "login")
	}
	if err != nil {
		return "", err
	}
	jar.take(a.Header)
	path := s.authorize + "?" + query
	if a, err = c.do(request{Addr: s.public, Path: path, Header: jar.header()}); err == nil {
		err = a.want(200, "authorize")
	}
	if err != nil {
		return "", err
	}
	form := "decision=allow"
	for _, m := range hidden.FindAllSubmatch(a.Body, -1) {
		form += "&" + string(m[1]) + "=" + string(m[2])
	}
	if a, err = c.do(request{Addr: s.public, Path: path, Header: jar.header() + "Origin: http://" + s.public + "\r\n", Form: form}); err == nil {
		err = a.want(303, "consent")
	}
	if err != nil {
		return "", err
	}
	return codeOf(a.Header.Get("Location"))
}
