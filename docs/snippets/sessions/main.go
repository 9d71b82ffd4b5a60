// Command sessions logs browsers in with a session cookie. It keeps everything in memory.
package main

import (
	"context"
	"fmt"
	"html"
	"log"
	"net/http"
	"time"

	// #region imports
	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	// #endregion imports
)

func main() {
	handler, err := newServer(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: "127.0.0.1:8080", Handler: http.MaxBytesHandler(handler, 1<<20),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

// #region server

func newServer(ctx context.Context) (http.Handler, error) {
	db := memory.New(nil) // later: sqlite.Open or postgres.Open
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	_, err = passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"})
	if err != nil {
		return nil, err
	}
	// Loopback is for plain http on this machine. In production: csrf.New("https://app.example", nil)
	browsers, err := session.New(db, csrf.Loopback(), nil)
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, nil))
	routes(mux, browsers, passwords)
	return mux, nil
}

// #endregion server

// #region routes

func routes(mux *authz.Mux, browsers *session.Scheme, passwords authn.PasswordChecker) {
	// Pages for people: a login form, a logout button, and a page that requires a login.
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	mux.Public("POST /logout", browsers.LogoutForm("/login"))
	mux.Handle("GET /me", authn.Page("/login", http.HandlerFunc(me)), authz.IsAuthenticated)
	// Endpoints for scripts.
	mux.Public("POST /session/login", browsers.Login(passwords))
	mux.Public("POST /session/logout", browsers.Logout())
	mux.Handle("GET /sessions", browsers.List(), authz.FirstParty)
	mux.Handle("DELETE /sessions/{id}", browsers.End(), authz.FirstParty)
	mux.Handle("POST /sessions/others", browsers.EndOthers(), authz.FirstParty)
}

func me(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // the Back button shows nothing after a logout
	fmt.Fprintf(w, "<p>Hello, %s!</p>\n", html.EscapeString(user.Name))
}

// #endregion routes
