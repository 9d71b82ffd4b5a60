// Command twoservices is two services. The issuer knows the accounts, checks passwords and signs
// JWTs. The verifier serves notes; it has no accounts, and verifies tokens with the public keys of
// the issuer. In practice each is a program of its own: copy issuer.go or verifier.go.
//
// Start both, each in a terminal:
//
//	go run ./examples/twoservices -role issuer
//	go run ./examples/twoservices -role verifier -addr 127.0.0.1:8081 -jwks http://127.0.0.1:8080/.well-known/jwks.json
//
// Then, in a third one:
//
//	ACCESS=$(curl -s 127.0.0.1:8080/login -d username=alice -d password=wonderland-42 | sed 's/.*"access":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8081/notes -H "Authorization: Bearer $ACCESS" -d text=milk
//	# ["milk"]
//	curl -s 127.0.0.1:8081/notes -H "Authorization: Bearer $ACCESS"
//	# ["milk"]
//	curl -s 127.0.0.1:8081/notes
//	# {"detail":"Authentication credentials were not provided."}
//	ADMIN=$(curl -s 127.0.0.1:8080/login -d username=root -d password=looking-glass-42 | sed 's/.*"access":"\([^"]*\)".*/\1/')
//	curl -s -X POST 127.0.0.1:8080/keys/rotate -H "Authorization: Bearer $ADMIN"
//	# {"key":"…","signs_from":"…"}
//	curl -s 127.0.0.1:8081/notes -H "Authorization: Bearer $ACCESS"
//	# ["milk"]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Both services must agree on these two names.
const (
	issuerName = "https://accounts.example" // who issues the tokens: "iss"
	apiName    = "https://notes.example"    // for whom they are: "aud"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	role := flag.String("role", "", "issuer or verifier")
	jwks := flag.String("jwks", "", "address of the issuer's public keys (verifier)")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *role, *jwks); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, role, jwks string) error {
	var h http.Handler
	var err error
	switch role {
	case "issuer":
		h, err = newIssuer(ctx, time.Now)
	case "verifier":
		h, err = newVerifier(jwks, time.Now)
	default:
		err = fmt.Errorf("-role %q: must be issuer or verifier", role)
	}
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
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
