// Command mcp is a Model Context Protocol server with one tool, whoami, and the authorization server
// that issues its tokens. Clients find the authorization server by themselves, and register there or
// are known by a metadata document.
//
//	POST /mcp                                       the MCP server (streamable HTTP), with scope tools:call
//	GET  /.well-known/oauth-protected-resource/mcp  who issues its tokens (RFC 9728)
//	GET  /.well-known/oauth-authorization-server    the authorization server (RFC 8414)
//
// Start it; without -db it uses a new SQLite file that it removes at the end:
//
//	go run -C examples/mcp .
//
// Then, in another terminal:
//
//	curl -s -i -X POST 127.0.0.1:8080/mcp
//	# Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp", scope="tools:call"
//	curl -s 127.0.0.1:8080/.well-known/oauth-protected-resource/mcp
//	# {"resource":"http://127.0.0.1:8080/mcp","authorization_servers":["http://127.0.0.1:8080"]…}
//
// Give http://127.0.0.1:8080/mcp to an MCP client. It opens the browser: log in as alice with the
// password wonderland-42, and allow the client to call tools.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/storage"
)

func main() { demo.Main(run) }

func run() error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var f demo.Flags
	f.Register(flag.CommandLine, demo.User{Name: "alice", Password: "wonderland-42"}, demo.User{Name: "bob", Password: "bob-the-builder-42"})
	clients := flag.String("client-origins", "", "origins of MCP clients in browsers, comma-separated (default none)")
	flag.Parse()
	if flag.NArg() > 0 {
		return demo.UsageError{Err: fmt.Errorf("unexpected argument %q", flag.Arg(0))}
	}
	if err := f.Check(); err != nil {
		return err
	}
	origins, err := parseOrigins(*clients)
	if err != nil {
		return demo.UsageError{Err: err}
	}
	l, err := demo.Listen(f.Addr)
	if err != nil {
		return err
	}
	defer l.Close()
	// The issuer is the address that clients use. In production it is https and configured.
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil || !addr.Addr().IsLoopback() {
		return demo.UsageError{Err: errors.New("-addr is not a loopback address (this example serves plain http)")}
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	h, cleanup, err := open(ctx, &f, config{issuer: "http://" + addr.String(), site: csrf.Loopback(), clients: origins})
	if err != nil {
		return err
	}
	defer cleanup()
	defer stop() // before the database is closed
	return demo.ServeOn(l, h)
}

// parseOrigins reads a list of origins, exactly as browsers send them.
func parseOrigins(list string) (origins []string, err error) {
	if list == "" {
		return nil, nil
	}
	for _, origin := range strings.Split(list, ",") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			return nil, fmt.Errorf("-client-origins: %q is not an origin (such as https://client.example)", origin)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

// open opens the database of the flags and returns the handler of everything.
func open(ctx context.Context, f *demo.Flags, cfg config) (h http.Handler, cleanup func(), err error) {
	db, ring, cleanup, err := f.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			cleanup()
		}
	}()
	passwords, err := f.Passwords(db, ring)
	if err != nil {
		return nil, nil, err
	}
	if err := f.AddUsers(ctx, db, passwords); err != nil {
		return nil, nil, err
	}
	if cfg.auth, err = f.Auth(); err != nil {
		return nil, nil, err
	}
	if h, err = newServer(cfg, db, ring, passwords); err != nil {
		return nil, nil, err
	}
	go func() { _ = storage.PruneEvery(ctx, time.Minute, nil, db) }() // it ends with ctx
	return demo.Slashless(h), cleanup, nil
}
