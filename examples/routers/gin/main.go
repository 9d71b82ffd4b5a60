// Command gin protects the routes of gin with Vestibule. The handlers are plain net/http handlers.
// The program checks at start that each route has a permission; forget one and it does not start.
//
// Start it:
//
//	go run -C examples/routers/gin .
//
// Then, in another terminal:
//
//	curl -s 127.0.0.1:8080/healthz
//	# ok
//	curl -s 127.0.0.1:8080/notes
//	# {"detail":"Authentication credentials were not provided."}
//	TOKEN=$(curl -s 127.0.0.1:8080/login -d username=alice -d password=wonderland-42 | sed 's/.*"token":"\([^"]*\)".*/\1/')
//	curl -s 127.0.0.1:8080/notes -H "Authorization: Knox $TOKEN"
//	# [{"id":1,"text":"milk"}]
//	curl -s 127.0.0.1:8080/notes/1 -H "Authorization: Knox $TOKEN"
//	# {"id":1,"text":"milk"}
//	curl -s 127.0.0.1:8080/notes/2 -H "Authorization: Knox $TOKEN"
//	# {"detail":"Not found."…}
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	flag.Parse()
	// ctx ends on Ctrl-C and when a service manager stops the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

// #region routes

// router is a gin router that remembers the handlers, because gin does not list them.
type router struct {
	*gin.Engine
	handlers map[string]http.Handler // by method and path
}

// #region adapter

// handle registers a plain handler.
func (r *router) handle(method, path string, h http.Handler) {
	r.handlers[method+" "+path] = h
	r.Handle(method, path, func(c *gin.Context) {
		for _, p := range c.Params {
			c.Request.SetPathValue(p.Key, p.Value)
		}
		h.ServeHTTP(c.Writer, c.Request)
	})
}

// #endregion adapter

// routes registers each route with a permission, or as Public.
func routes(a *app) *router {
	r := &router{gin.New(), map[string]http.Handler{}}
	// Public routes bypass the chain, so an expired token in the request cannot block a login.
	r.handle("POST", "/login", a.auth.Public(a.login))
	r.handle("GET", "/healthz", a.auth.Public(http.HandlerFunc(health)))
	r.handle("GET", "/notes", a.auth.Handler(authz.Require(authz.IsAuthenticated).HandlerFunc(a.list)))
	mine := authz.OwnedBy(Note.owner)
	guard := authz.Require(authz.IsAuthenticated, mine).Hide(mine)
	r.handle("GET", "/notes/:id", a.auth.Handler(authz.HandleObject(guard, a.load, a.show)))
	return r
}

// #endregion routes

// #region audit

// handler returns what the server serves. It is an error if a route has no permission.
func handler(r *router) (http.Handler, error) {
	h := authz.RequirePlainPath(r.Engine)
	_, err := authz.Audit(r.walk(), h)
	return h, err
}

// walk yields each route. Those that were not registered by handle have no handler, so Audit reports
// them.
func (r *router) walk() iter.Seq2[string, http.Handler] {
	return func(yield func(string, http.Handler) bool) {
		for _, route := range r.Routes() {
			pattern := route.Method + " " + route.Path
			if !yield(pattern, r.handlers[pattern]) {
				return
			}
		}
	}
}

// #endregion audit

func run(ctx context.Context, addr string) error {
	gin.SetMode(gin.ReleaseMode)
	a, err := newApp(ctx)
	if err != nil {
		return err
	}
	h, err := handler(routes(a))
	if err != nil {
		return err
	}
	return serve(ctx, addr, h)
}

// newApp creates the users, their notes, and the middleware. A real program opens a database.
func newApp(ctx context.Context) (*app, error) {
	db := memory.New(nil)
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	a := &app{}
	for _, u := range []struct{ name, password, note string }{{"alice", "wonderland-42", "milk"}, {"bob", "bob-the-builder-42", "beer"}} {
		user, err := passwords.Register(ctx, password.NewUser{Name: u.name, Password: u.password})
		if err != nil {
			return nil, err
		}
		a.notes = append(a.notes, Note{ID: len(a.notes) + 1, Owner: user.ID, Text: u.note})
	}
	devices, err := knox.New(db, nil)
	if err != nil {
		return nil, err
	}
	a.login = devices.Login(passwords)
	a.auth = authn.New(authn.Chain{devices}, nil)
	return a, nil
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
