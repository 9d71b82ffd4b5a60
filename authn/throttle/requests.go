package throttle

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/observe"
)

// Options configure [Anon], [User] and [Scoped]. nil means the defaults.
type Options struct {
	// Proxies are trusted to report the client address.
	Proxies authn.TrustedProxies
	// Networks are factors for the networks around the address of an anonymous caller. The rate of
	// a network is the rate of one address, multiplied by the factor. The networks are the IPv4 /28
	// or IPv6 /56, the /24 or /48, and the /16 or /32. 0 means the default: 4, 16 and 256. Raise
	// them if many anonymous clients share a network.
	Networks [3]int
	// NameKey, Logger and Clock have the same meaning as in [LoginOptions].
	NameKey Secret
	Logger  *slog.Logger
	// Sink receives each decision, for metrics. nil means none.
	Sink  *observe.Sink
	Clock func() time.Time
}

// Anon returns middleware that limits the requests of anonymous callers, by their address (IPv4, or
// IPv6 /64) and by the networks around it (Options.Networks). Put it after the authn middleware. A
// request over the limit gets 429 with the text of Django REST Framework.
//
// It returns an error if store is nil, if rate is zero or out of range, or if an option is invalid.
// For a [Shared] store, Options.NameKey must be set. The rate [Off] means no limit. If the store
// fails, requests are counted in memory.
//
// Requests that a page of another site makes a browser send ([authn.FromAnotherSite]) are counted
// separately with the same rate, in User and Scoped too. So such a page cannot use up the limit of
// its visitors for your own pages.
func Anon(store Store, rate Rate, opts *Options) (func(http.Handler) http.Handler, error) {
	l, err := newRequests(store, rate, "anon", opts)
	if err != nil {
		return nil, fmt.Errorf("throttle: Anon: %w", err)
	}
	return l.middleware(func(id authn.Identity) bool { return !id.Authenticated() }), nil
}

// User returns middleware that limits the requests of each user or client. It limits the requests
// of anonymous callers in the same way as [Anon].
func User(store Store, rate Rate, opts *Options) (func(http.Handler) http.Handler, error) {
	l, err := newRequests(store, rate, "user", opts)
	if err != nil {
		return nil, fmt.Errorf("throttle: User: %w", err)
	}
	return l.middleware(nil), nil
}

// Scoped is [User] with a separate count for scope. Routes with the same scope share the count. It
// returns an error if scope is "".
func Scoped(store Store, scope string, rate Rate, opts *Options) (func(http.Handler) http.Handler, error) {
	if scope == "" {
		return nil, errors.New("throttle: Scoped: scope must not be empty")
	}
	l, err := newRequests(store, rate, "scope "+scope, opts)
	if err != nil {
		return nil, fmt.Errorf("throttle: Scoped: %w", err)
	}
	return l.middleware(nil), nil
}

type requests struct {
	store *Shared
	rates []Rate
	wider [3][]Rate // for the networks around an address
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
		return nil, errors.New("store must be set")
	}
	if l.opts.NameKey != nil && len(l.opts.NameKey) != 32 {
		return nil, errors.New("NameKey must have 32 bytes")
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
	if err := checkNames(store, l.opts.NameKey); err != nil {
		return nil, err
	}
	if l.opts.Clock == nil {
		l.opts.Clock = time.Now
	}
	l.store, l.names = resilient(store, l.opts.Logger, l.opts.Sink), newNamer(l.opts.NameKey)
	l.opts.NameKey = nil // not printed with the other options
	return l, nil
}

// middleware limits the callers for which counts returns true. nil means all callers.
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

// Unwrap returns the handler after the limit. Audits use it.
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
	p := &struct { // one allocation
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
	// The widest network is the group of all its addresses, so that a store of several servers can
	// spread the networks over them.
	widest := p.plans[0][len(p.plans[0])-1].Key
	o, _, err := l.store.take(r.Context(), l.opts.Clock(), widest, p.plans[:])
	if err == nil {
		limitedBy(r.Context(), l.opts.Sink, observe.Request, o.Plan == 0)
	}
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
