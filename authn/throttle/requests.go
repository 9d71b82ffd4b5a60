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
	// Networks is how many times the rate of an address the networks around it have together,
	// for anonymous callers: the IPv4 /28 or IPv6 /56, the /24 or /48, and the /16 or /32. A 0 is
	// the default, 4, 16 and 256. Raise them if many anonymous clients share a network.
	Networks [3]int
	// NameKey, Logger and Clock are those of LoginOptions.
	NameKey Secret
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Anon returns middleware that limits the requests of anonymous callers, by their
// address (IPv4, or IPv6 /64) and by the networks around it (Options.Networks). Like all of these it
// stands inside the authn middleware, and a refused request is answered with 429 in the words of
// Django REST Framework. The rate [Off] limits nothing; the zero Rate is an error.
//
// Requests that a page of another site makes a browser send (authn.FromAnotherSite) have the same
// rate in counts of their own, here and in User and Scoped: such a page uses up nothing that its
// visitors have at your own pages.
func Anon(store Store, rate Rate, opts *Options) (func(http.Handler) http.Handler, error) {
	l, err := newRequests(store, rate, "anon", opts)
	if err != nil {
		return nil, err
	}
	return l.middleware(func(id authn.Identity) bool { return !id.Authenticated() }), nil
}

// User returns middleware that limits the requests of each user or client, and of
// anonymous callers as Anon does.
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
	wider [3][]Rate // of the networks around an address
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
	if !rate.IsOff() {
		if err := rate.check(); err != nil {
			return nil, err
		}
		l.rates = []Rate{rate}
		networks, err := multiples(l.opts.Networks, [3]int{4, 16, 256})
		if err != nil {
			return nil, err
		}
		for i, n := range networks {
			l.wider[i] = []Rate{times(rate, n)}
		}
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
	p := &struct { // in one allocation
		plan  [4]Bucket
		plans [1][]Bucket
	}{}
	// Users, clients and addresses never share a name.
	if id.Authenticated() {
		kind := "subject"
		if authn.FromAnotherSite(r) {
			kind = "subject, another site"
		}
		p.plan[0] = Bucket{Key: l.names.name(l.kind, kind, id.Issuer, id.Subject, id.Client), Rates: l.rates}
		p.plans[0] = p.plan[:1]
	} else {
		p.plans[0] = l.anonymous(p.plan[:0], placesOf(l.opts.Proxies.ClientAddr(r)).asCausedBy(r))
	}
	o, _, err := l.store.take(r.Context(), l.opts.Clock(), p.plans[:])
	switch {
	case err != nil:
		return err
	case o.Plan == 0:
		return nil
	case o.Key == p.plan[0].Key:
		return authn.Throttled(o.Wait)
	}
	return authn.Throttled(min(othersWait, l.rates[0].Window))
}

// anonymous appends the buckets of an address and of the networks around it.
func (l *requests) anonymous(plan []Bucket, at places) []Bucket {
	plan = append(plan, Bucket{Key: l.names.name(l.kind, "source", at.source), Rates: l.rates})
	for i, network := range at.around() {
		plan = append(plan, Bucket{Key: l.names.name(l.kind, "network", network), Rates: l.wider[i]})
	}
	return plan
}
