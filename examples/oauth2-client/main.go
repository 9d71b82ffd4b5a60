// Command oauth2-client is an application of somebody else: it acts for the users of a
// server that package schemes/oauth2 makes, with two libraries that know nothing of it,
// golang.org/x/oauth2 and github.com/coreos/go-oidc. Run the server, then the client, and
// open the address that it prints:
//
//	go run ./examples/oauth2
//	go run -C examples/oauth2-client . -issuer http://127.0.0.1:8080
//
// The client finds the endpoints by the server's metadata (RFC 8414), logs in with a code
// and PKCE, checks state and issuer of the answer (RFC 9207), calls the API, refreshes, and
// gives its tokens back. Where the server speaks OpenID Connect it verifies the ID token too.
//
// It is a module of its own, so that what it needs stays out of the library's. It listens on
// this machine alone; one that others reach needs https, and Secure on its cookies.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oauth2-client:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("oauth2-client", flag.ExitOnError)
	addr := fs.String("addr", "127.0.0.1:8081", "where to listen, on this machine")
	issuer := fs.String("issuer", "http://127.0.0.1:8080", "the authorization server")
	api := fs.String("api", "", "a page of the API to show; the issuer's /api/profile where it is empty")
	client := fs.String("client", "demo-public", "the client; a confidential one has its secret in CLIENT_SECRET")
	scopes := fs.String("scopes", "profile", "scopes to ask for, by commas; openid is added where the server knows it")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if *api == "" {
		*api = *issuer + "/api/profile"
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	defer l.Close()
	if a, err := netip.ParseAddrPort(l.Addr().String()); err != nil || !a.Addr().IsLoopback() {
		return errors.New("-addr: want an address of this machine alone, such as 127.0.0.1:8081")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	base := "http://" + l.Addr().String()
	a, err := newApp(ctx, config{
		Issuer: *issuer, API: *api, ID: *client, Secret: os.Getenv("CLIENT_SECRET"), Redirect: base + "/callback", Scopes: strings.Split(*scopes, ","),
	})
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           http.MaxBytesHandler(a.routes(), 64<<10), // its own forms are small
		ReadHeaderTimeout: 5 * time.Second,                          // a client that sends slowly cannot hold a connection
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second, // it calls the server meanwhile
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Println("listening on", base)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	finish, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	return server.Shutdown(finish)
}
