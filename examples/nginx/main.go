// Command nginx is a server behind nginx, which terminates TLS. It logs people in with a form, and
// reports what it knows about the client: the user, the address, and whether the client uses https.
//
// Start it, and nginx with nginx.conf (put your certificate where the file says):
//
//	go run ./examples/nginx -origin https://app.example -proxies 127.0.0.1
//
// Then, in another terminal, without nginx in between:
//
//	curl -s 127.0.0.1:8080/healthz
//	# ok
//	curl -s 127.0.0.1:8080/whoami
//	# {"detail":"Authentication credentials were not provided."}
//	curl -s 127.0.0.1:8080/login -d username=alice -d password=wonderland-42
//	# …accepted over https only…
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
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on, for nginx only; port 0 picks one")
	origin := flag.String("origin", "https://app.example", "public address, as users see it")
	proxies := flag.String("proxies", "127.0.0.1", "addresses or networks of nginx, comma-separated")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *origin, strings.Split(*proxies, ",")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, origin string, proxies []string) error {
	h, err := newServer(ctx, origin, proxies)
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// #region server

// newServer passes the proxies to everything that reads where a request comes from.
func newServer(ctx context.Context, origin string, networks []string) (http.Handler, error) {
	proxies, err := authn.NewTrustedProxies(networks...)
	if err != nil {
		return nil, err
	}
	site, err := csrf.New(origin, &csrf.Options{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	db := memory.New(nil) // a real program opens a database
	limits, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Proxies: proxies})
	if err != nil {
		return nil, err
	}
	refusals, err := throttle.NewRefusals(nil)
	if err != nil {
		return nil, err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, &password.Options{Limiter: limits, Proxies: proxies})
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
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, &authn.Options{Refusals: refusals, Proxies: proxies}))
	mux.Public("/login", browsers.LoginForm(passwords, &session.FormOptions{Fallback: "/whoami"}))
	mux.Public("POST /logout", browsers.LogoutForm("/login"))
	mux.HandleFunc("GET /whoami", whoami(proxies), authz.IsAuthenticated)
	mux.Public("GET /healthz", http.HandlerFunc(health))
	// Credentials are accepted only if nginx reports that the client uses https.
	secure := authn.RequireTLS(&authn.TLSOptions{Proxies: proxies})
	return secure(mux), nil
}

// whoami reports the client as nginx sees it.
func whoami(proxies authn.TrustedProxies) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, _ := authn.UserFrom[*storage.Account](r.Context())
		w.Header().Set("Content-Type", "application/json")
		err := json.NewEncoder(w).Encode(map[string]any{
			"user": user.Name, "address": proxies.ClientAddr(r), "https": proxies.IsHTTPS(r),
		})
		if err != nil {
			slog.Debug("response not sent", "error", err) // the client has gone
		}
	}
}

// #endregion server

func health(w http.ResponseWriter, _ *http.Request) {
	if _, err := w.Write([]byte("ok\n")); err != nil {
		slog.Debug("response not sent", "error", err)
	}
}

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
