package throttle

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// Options change a limit of requests; nil is fine.
type Options struct {
	// Proxies are believed about the client's address.
	Proxies authn.TrustedProxies
	// NameKey, Logger and Clock are those of LoginOptions.
	NameKey Secret
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Anon returns middleware that limits the requests of anonymous callers, by their
// address. Like all of these it stands inside the authn middleware, and a refused
// request is answered with 429 in the words of Django REST Framework. A zero rate
// limits nothing.
func Anon(store Store, rate Rate, opts *Options) (func(http.Handler) http.Handler, error) {
	l, err := newRequests(store, rate, "anon", opts)
	if err != nil {
		return nil, err
	}
	return l.middleware(func(id authn.Identity) bool { return !id.Authenticated() }), nil
}

// User returns middleware that limits the requests of each user or client, and of
// anonymous callers by their address.
func User(store Store, rate Rate, opts *Options) (func(http.Handler) http.Handler, error) {
	l, err := newRequests(store, rate, "user", opts)
	if err != nil {
		return nil, err
	}
	return l.middleware(nil), nil
}

// Scoped is User with a count of its own for the scope: the routes that share the
// scope's name share the count.
func Scoped(store Store, scope string, rate Rate, opts *Options) (func(http.Handler) http.Handler, error) {
	if scope == "" {
		return nil, errors.New("throttle: a scope has a name")
	}
	l, err := newRequests(store, rate, "scope "+scope, opts)
	if err != nil {
		return nil, err
	}
	return l.middleware(nil), nil
}

type requests struct {
	store *resilient
	rates []Rate
	kind  string
	names namer
	opts  Options
}

func newRequests(store Store, rate Rate, kind string, opts *Options) (*requests, error) {
	l := &requests{kind: kind}
	if opts != nil {
		l.opts = *opts
	}
	if store == nil {
		return nil, errors.New("throttle: a store is needed")
	}
	if l.opts.NameKey != nil && len(l.opts.NameKey) != 32 {
		return nil, errors.New("throttle: NameKey has 32 bytes")
	}
	if !rate.IsZero() {
		if err := rate.check(); err != nil {
			return nil, err
		}
		l.rates = []Rate{rate}
	}
	if l.opts.Clock == nil {
		l.opts.Clock = time.Now
	}
	l.store, l.names = newResilient(store, l.opts.Logger), newNamer(l.opts.NameKey)
	l.opts.NameKey = nil // not to be printed with the rest
	return l, nil
}

// middleware limits whom counts says, or everybody.
func (l *requests) middleware(counts func(authn.Identity) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if l.rates == nil {
			return next
		}
		return &limited{l, counts, next}
	}
}

type limited struct {
	l      *requests
	counts func(authn.Identity) bool
	next   http.Handler
}

// Unwrap returns the handler behind the limit, for audits.
func (h *limited) Unwrap() http.Handler { return h.next }

func (h *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	if h.counts == nil || h.counts(id) {
		if err := h.l.take(r, id); err != nil {
			authn.Respond(w, r, authn.Undecided(err))
			return
		}
	}
	h.next.ServeHTTP(w, r)
}

func (l *requests) take(r *http.Request, id authn.Identity) error {
	// Users, clients and addresses never share a name.
	key := l.names.name(l.kind, "subject", id.Issuer, id.Subject, id.Client)
	if !id.Authenticated() {
		key = l.names.name(l.kind, "source", authn.SourceOf(l.opts.Proxies.ClientAddr(r)))
	}
	p := &struct { // in one allocation
		plan  [1]Bucket
		plans [1][]Bucket
	}{plan: [1]Bucket{{Key: key, Rates: l.rates}}}
	p.plans[0] = p.plan[:]
	o, _, err := l.store.take(r.Context(), l.opts.Clock(), p.plans[:])
	if err == nil && o.Plan < 0 {
		err = authn.Throttled(o.Wait)
	}
	return err
}
