package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
)

// Contender is one way to do one kind of work. Exactly one of Gate and Work is set.
type Contender struct {
	// Kind is the work: Authenticate, Login, Refresh, Revoke, Authorize.
	Kind Kind
	// Scheme is the sort of credential. Contenders of one kind and scheme are compared.
	Scheme string
	// Name is who does it. Floor is hand-written and does the least that will do.
	Name string
	// Module is the peer's, for its version; "" for ours.
	Module string
	// Note says what is different from the others, in a few words.
	Note string
	// Less says that the client gets less from a peer than from ours, as Note says: it is
	// shown, and no measure. What a peer leaves out that the client does not see is a Note.
	Less bool
	// Cached contenders remember what they looked up.
	Cached bool
	// Gate makes middleware, for Authenticate; Work is for everything else.
	Gate func(*Env, Seen) (*Gate, error)
	Work func(*Env) (*Work, error)
}

// Kind is a kind of work.
type Kind string

const (
	Authenticate Kind = "authenticate" // one prepared request, through middleware to a handler that asks who it is
	Authorize    Kind = "authorize"    // may this role do that
	Login        Kind = "login"        // make a credential; the password check costs nothing
	Refresh      Kind = "refresh"      // exchange a refresh token
	Revoke       Kind = "revoke"       // end a credential
)

// Floor and Ours are names of contenders that ratios are taken against. Ours is uncached
// and in memory; the others of ours begin with it.
const (
	Floor      = "floor"
	Ours       = "vestibule"
	OursCached = "vestibule, cached"
	OursSQLite = "vestibule, SQLite"
)

// ID names a contender.
func (c *Contender) ID() string { return string(c.Kind) + "/" + c.Scheme + "/" + c.Name }

// Seen is called by the handler behind a gate with the subject that it was told.
type Seen func(w http.ResponseWriter, subject string)

// Gate is middleware in front of a handler that calls Seen, with a request's headers that
// it lets through as alice, and ones that it does not.
type Gate struct {
	Handler   http.Handler
	Good, Bad http.Header
}

const subject = "id-alice"

// Work is work that can be done again and again.
type Work struct {
	// Do does it once.
	Do func() error
	// Prepare makes ready n times of Do, outside of the time that counts; it may be nil.
	Prepare func(n int) error
	// Check reports whether Do does what it should; it may be nil.
	Check func() error
}

// Env is what contenders are made in.
type Env struct {
	context.Context
	worlds  map[string]*world
	cleanup []func()
}

// NewEnv returns an environment; Close it.
func NewEnv(ctx context.Context) *Env { return &Env{Context: ctx, worlds: make(map[string]*world)} }

// Close removes what contenders left.
func (e *Env) Close() {
	for i := len(e.cleanup) - 1; i >= 0; i-- {
		e.cleanup[i]()
	}
	e.cleanup = nil
}

// Cleanup lets Close call f.
func (e *Env) Cleanup(f func()) { e.cleanup = append(e.cleanup, f) }

// Dir makes a folder that Close removes.
func (e *Env) Dir() (string, error) {
	dir, err := os.MkdirTemp("", "vestibule-bench-")
	if err == nil {
		e.Cleanup(func() { os.RemoveAll(dir) })
	}
	return dir, err
}

// Make makes the contender's work, after it has proved that it does it.
func (c *Contender) Make(e *Env) (*Work, error) {
	w, err := c.make(e)
	if err == nil && w.Check != nil {
		err = w.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ID(), err)
	}
	return w, nil
}

func (c *Contender) make(e *Env) (*Work, error) {
	if c.Work != nil {
		return c.Work(e)
	}
	var who string
	g, err := c.Gate(e, func(_ http.ResponseWriter, subject string) { who = subject })
	if err != nil {
		return nil, err
	}
	w, good := &discard{h: make(http.Header)}, request(g.Good)
	return &Work{
		Do: func() error {
			who = ""
			clear(w.h)
			g.Handler.ServeHTTP(w, good)
			if who != subject {
				return errors.New("not let through")
			}
			return nil
		},
		Check: func() error {
			for range 2 { // the second time from the cache, where there is one
				for _, h := range []http.Header{g.Bad, {}} {
					who = ""
					if g.Handler.ServeHTTP(httptest.NewRecorder(), request(h)); who != "" {
						return fmt.Errorf("let through as %q with %v", who, h)
					}
				}
				rec := httptest.NewRecorder()
				if g.Handler.ServeHTTP(rec, request(g.Good)); who != subject || rec.Code != 200 {
					return fmt.Errorf("not let through: %d %s", rec.Code, rec.Body)
				}
			}
			return nil
		},
	}, nil
}

// request is as it comes over https.
func request(h http.Header) *http.Request {
	r := httptest.NewRequest("GET", issuer+"/api/profile", nil)
	r.Header, r.RemoteAddr = h.Clone(), "192.0.2.1:40000"
	return r.WithContext(served(r.Context()))
}

// served is the context of a request that came to a server.
func served(ctx context.Context) context.Context {
	return context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 80), Port: 443}))
}

// discard is a ResponseWriter that keeps only headers.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// header makes headers of pairs; mangled ones differ in one letter of the last value.
func header(pairs ...string) (good, bad http.Header) {
	good, bad = make(http.Header), make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		good.Set(pairs[i], pairs[i+1])
		bad.Set(pairs[i], mangled(pairs[i+1]))
	}
	return good, bad
}

// mangled exchanges a letter in the last third, where tokens have their secret or signature.
func mangled(text string) string {
	b := []byte(text)
	i := len(b) * 3 / 4
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}
