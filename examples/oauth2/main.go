// Command oauth2 is an authorization server and an API in one program: applications of others act
// for its users, with the scopes that the users granted.
//
// Start it:
//
//	go run ./examples/oauth2
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/.well-known/oauth-authorization-server
//	# {…"issuer":"http://127.0.0.1:8080"…}
//	curl -s 127.0.0.1:8080/api/profile
//	# {"detail":"Authentication credentials were not provided."}
//	curl -s -o login.html -w '%{http_code} %{redirect_url}' '127.0.0.1:8080/oauth2/authorize?response_type=code&client_id=demo-public&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256'
//	# 303 http://127.0.0.1:8080/login?next=…
//
// For the rest start a client, and open the address that it prints:
//
// go run -C examples/oauth2-client . -issuer http://127.0.0.1:8080
//
// Log in as alice with the password wonderland-42, and allow the client to see her name.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on, of this machine only; port 0 picks one")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	// The issuer is the address that clients use. In production it is https and configured.
	h, err := newServer(ctx, "http://"+listener.Addr().String(), csrf.Loopback())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return serve(ctx, listener, h)
}

// #region server

// newServer returns the authorization server for issuer, its login page and the API. A real program
// opens a database and loads its master key from a secret (keys.Load).
func newServer(ctx context.Context, issuer string, site *csrf.Site) (http.Handler, error) {
	db := memory.New(nil)
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		return nil, err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	if _, err := passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}); err != nil {
		return nil, err
	}
	// #region client
	// A public client has no secret: PKCE protects its codes. "vestibule client create" adds others.
	err = db.CreateClient(ctx, storage.Client{
		ID: "demo-public", Name: "Demo client", Method: oauth2.None, Native: true, Created: time.Now(),
		Grants:       []string{oauth2.AuthorizationCode, oauth2.RefreshToken},
		RedirectURIs: []string{"http://127.0.0.1/callback"}, // any port: the client is native
		Scopes:       []string{"profile", "notes:read"}, Default: []string{"profile"},
	})
	if err != nil {
		return nil, err
	}
	// #endregion client

	// #region parts
	browsers, err := session.New(db, site, nil)
	if err != nil {
		return nil, err
	}
	api, err := oauth2.New(issuer, db, &oauth2.Options{Audience: issuer})
	if err != nil {
		return nil, err
	}
	srv, err := server.New(api, db, &server.Options{
		Keys:   ring,
		Scopes: map[string]string{"profile": "See your name", "notes:read": "Read your notes"},
	})
	if err != nil {
		return nil, err
	}
	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	if _, err := consent.New(srv, sessions, "/login", nil); err != nil {
		return nil, err
	}
	// #endregion parts

	// #region routes
	// RequireScopes: the program does not start if a client's token opens a route without a scope.
	mux := authz.NewMux(authn.New(authn.Chain{browsers, api}, nil)).RequireScopes()
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	mux.Public("POST /logout", browsers.LogoutForm("/login"))
	for _, r := range srv.Routes() {
		switch r.Access {
		case server.ForClients: // the endpoint reads the client's own credentials
			mux.Public(r.Pattern, r.Handler)
		case server.ForVisitors: // pages that send anonymous visitors to the login
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		case server.ForAccounts: // for the user only
			mux.Handle(r.Pattern, r.Handler, authz.FirstParty)
		default:
			return nil, fmt.Errorf("route %s: unknown access %v", r.Pattern, r.Access)
		}
	}
	mux.HandleFunc("GET /api/profile", profile, authz.IsAuthenticated, authz.HasScope("profile"))
	mux.HandleFunc("GET /api/notes", notes, authz.IsAuthenticated, authz.HasScope("notes:read"))
	// #endregion routes
	return mux, nil
}

// profile shows the user and the client that acts for the user ("" for the user's own browser).
func profile(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	user, ok := authn.UserFrom[*storage.Account](r.Context())
	if !ok {
		authn.Respond(w, r, authn.PermissionDenied("")) // a client that acts for itself has no profile
		return
	}
	writeJSON(w, map[string]string{"username": user.Name, "client": id.Client})
}

func notes(w http.ResponseWriter, _ *http.Request) { writeJSON(w, []string{"milk"}) }

// #endregion server

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}

// serve answers requests until ctx ends. Requests that are running then have ten seconds
// to finish.
func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           http.MaxBytesHandler(h, 1<<20), // no request of this program needs a larger body
		ReadHeaderTimeout: 5 * time.Second,                // a client that sends slowly cannot hold a connection
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println("listening on http://" + listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(finish), ignoreClosed(<-failed))
}

// ignoreClosed drops the error that every server returns after Shutdown.
func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
