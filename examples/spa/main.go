// Command spa is an API for a single-page application that logs in with a session cookie, and the
// application itself in the folder web.
//
// Start it:
//
//	go run ./examples/spa
//
// Open http://127.0.0.1:8080/ and log in as alice with the password wonderland-42. Or use curl:
//
//	curl -s -c cookies 127.0.0.1:8080/api/login -d username=alice -d password=wonderland-42
//	# {"username":"alice"}
//	curl -s -b cookies 127.0.0.1:8080/api/notes -H 'Content-Type: application/json' -H 'Origin: http://127.0.0.1:8080' -d '{"text": "milk"}'
//	# ["milk"]
//	curl -s -b cookies -w '%{http_code}' -o answer.json 127.0.0.1:8080/api/notes -H 'Content-Type: application/json' -H 'Origin: https://evil.example' -d '{"text": "spam"}'
//	# 403
//	curl -s -b cookies 127.0.0.1:8080/api/notes
//	# ["milk"]
//
// In production the API has an https address, and the application can have a host of its own:
//
// -origin https://app.example -front https://front.app.example -proxies 10.0.0.0/8
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// files are index.html, style.css, app.js and api.js.
//
//go:embed web
var files embed.FS

type config struct {
	origin, front string
	proxies       []string
}

func main() {
	var c config
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	flag.StringVar(&c.origin, "origin", "", "public address of the API, https://… (default: this machine only, plain http)")
	flag.StringVar(&c.front, "front", "", "origin of the application if it has a host of its own")
	proxies := flag.String("proxies", "", "addresses or networks of trusted proxies, comma-separated")
	flag.Parse()
	if *proxies != "" {
		c.proxies = strings.Split(*proxies, ",")
	}
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, c); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, c config) error {
	h, err := newServer(ctx, c)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// #region server

// newServer returns the API and the application as one handler.
func newServer(ctx context.Context, c config) (http.Handler, error) {
	proxies, err := authn.NewTrustedProxies(c.proxies...)
	if err != nil {
		return nil, err
	}
	site, err := newSite(c, proxies)
	if err != nil {
		return nil, err
	}
	db := memory.New(nil) // a real program opens a database
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, &password.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	if _, err := passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}); err != nil {
		return nil, err
	}
	browsers, err := session.New(db, site, &session.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	web, err := fs.Sub(files, "web")
	if err != nil {
		return nil, err
	}

	n := &notes{byOwner: map[string][]string{}}
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, &authn.Options{Proxies: proxies}))
	mux.Public("POST /api/login", browsers.Login(passwords)) // checks the origin by itself
	mux.Public("POST /api/logout", browsers.Logout())
	mux.HandleFunc("GET /api/me", me, authz.IsAuthenticated)
	mux.HandleFunc("GET /api/notes", n.list, authz.IsAuthenticated)
	mux.HandleFunc("POST /api/notes", n.add, authz.IsAuthenticated)
	mux.Public("GET /", headers(http.FileServerFS(web)))
	// CORS is outside: a preflight request has no cookie, so the chain would answer it with 401.
	return cors(c.front, mux), nil
}

// newSite says which pages can use the cookie. Requests that change something and come from any
// other page are rejected with 403.
func newSite(c config, proxies authn.TrustedProxies) (*csrf.Site, error) {
	if c.origin == "" {
		if c.front != "" {
			return nil, errors.New("-front requires -origin")
		}
		return csrf.Loopback(), nil
	}
	options := &csrf.Options{Proxies: proxies}
	if c.front != "" {
		options.TrustedOrigins = []string{c.front}
	}
	return csrf.New(c.origin, options)
}

// #endregion server

// #region cors

// cors lets the scripts of one other origin read the answers. It never repeats the Origin of the
// request, and never sends "*": both would open the API to every site.
func cors(front string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if front != "" && r.Header.Get("Origin") == front {
			h.Set("Access-Control-Allow-Origin", front)
			h.Set("Access-Control-Allow-Credentials", "true")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
				h.Set("Access-Control-Allow-Headers", "Content-Type")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// headers are those of the application's files. No other site can show them in a frame, and scripts
// come from our own files only.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// #endregion cors

// serve answers requests on addr until ctx ends. Requests that are running then have ten seconds
// to finish.
func serve(ctx context.Context, addr string, h http.Handler) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
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
