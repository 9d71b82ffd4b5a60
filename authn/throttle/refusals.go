package throttle

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/observe"
)

// RefusalOptions configure [Refusals]. nil means the defaults.
type RefusalOptions struct {
	// Limit is the rate of rejected credentials from one address (IPv4, or IPv6 /64) that are
	// answered with 401. Further rejected credentials are answered with 429. The zero value means
	// 120/m.
	Limit Rate
	// Stop is a higher rate of rejected credentials from one address. Above it, credentials are not
	// checked and get 429, in every place where requests contain them (see [authn.Presented]).
	// Credentials that were accepted from there within the last ten minutes are still checked. The
	// zero value means ten times Limit.
	//
	// If a network exceeds its Stop, the credentials of all of its addresses are not checked. But
	// six credentials per minute are checked for each address that does not exceed its own Stop.
	Stop Rate
	// Networks are three factors for the three networks around an address: the IPv4 /28 or IPv6
	// /56, the /24 or /48, and the /16 or /32. The Limit and Stop of a network are the Limit and
	// Stop of one address, multiplied by its factor. 0 means the default: 2, 4 and 256.
	Networks [3]int
	// Sink receives each decision, for metrics. nil means none.
	Sink *observe.Sink
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
}

// Refusals limits requests with rejected credentials per client address, in the memory of this
// process. Set it as authn.Options.Refusals of a middleware. It is safe for concurrent use.
//
// Accepted credentials are not counted. If an address exceeds Limit, valid credentials are still
// accepted; rejected ones get 429 instead of 401. If an address exceeds Stop, credentials that were
// not accepted from there before get 429 for a second.
//
// It remembers at most 10,000 accepted credentials, and at most 100 of one account. If an account
// has more, its oldest credential is dropped. A full table drops a credential of the network with
// the most credentials. Within this network, it drops a credential of the account with the most. So
// others cannot evict the credentials of an account.
//
// Requests that a page of another site makes a browser send ([authn.FromAnotherSite]) are counted
// separately, so that the page cannot use up the limit of its visitor's address.
type Refusals struct {
	opts   RefusalOptions
	wider  [3]int // Options.Networks
	names  namer
	counts *Memory
	seed   maphash.Seed
	base   time.Time
	// The time until which some address is paused, and until which some address is near its limit,
	// since base. 0 means none. The expensive checks are made only before these times.
	paused, near atomic.Int64

	mu     sync.Mutex
	places refuserTable
	good   acceptedTable
}

var _ authn.RefusalLimiter = (*Refusals)(nil)

const (
	goodFor = 10 * time.Minute
	pause   = time.Second
)

// NewRefusals returns a limit of rejected credentials. opts can be nil. It returns an error if an
// option is out of range.
func NewRefusals(opts *RefusalOptions) (*Refusals, error) {
	l := &Refusals{names: newNamer(nil), seed: maphash.MakeSeed(), base: time.Now().Add(-time.Hour),
		counts: NewMemory(&MemoryOptions{MaxEntries: 100_000})}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Limit.IsZero() {
		l.opts.Limit = Rate{120, time.Minute}
	}
	if l.opts.Stop.IsZero() {
		l.opts.Stop = times(l.opts.Limit, 10)
	}
	var err error
	l.wider, err = multiples(l.opts.Networks, [3]int{2, 4, 256})
	if err := errors.Join(err, l.opts.Limit.check(), l.opts.Stop.check()); err != nil {
		return nil, fmt.Errorf("throttle: NewRefusals: %w", err)
	}
	if l.opts.Clock == nil {
		l.opts.Clock = time.Now
	}
	return l, nil
}

// callerOf returns the places of the client, found with authn.Options.Proxies of the request's
// middleware.
func callerOf(r *http.Request) places {
	return placesOf(authn.TrustedProxies{}.ClientAddr(r)).asCausedBy(r)
}

func times(r Rate, n int) Rate { return Rate{min(r.Limit*n, MaxLimit), r.Window} }

// Admit implements [authn.RefusalLimiter]. If no address exceeds Stop, it costs one atomic load.
func (l *Refusals) Admit(r *http.Request, p *authn.Presented) error {
	last := l.paused.Load()
	if last == 0 || !p.Any(r) {
		return nil
	}
	now := l.opts.Clock()
	if int64(now.Sub(l.base)) >= last {
		l.paused.CompareAndSwap(last, 0)
		return nil
	}
	at := callerOf(r)
	l.mu.Lock()
	own, others := l.places.get(at.source).paused.Sub(now), time.Duration(0)
	for _, network := range at.around() {
		others = max(others, l.places.get(network).paused.Sub(now))
	}
	good := max(own, others) <= 0 || now.Before(l.good.get(at, l.credential(r, p)))
	l.mu.Unlock()
	if good || own <= 0 && l.spare(r.Context(), at, now) {
		return nil
	}
	limitedBy(r.Context(), l.opts.Sink, observe.Source, false)
	return authn.Throttled(min(max(own, others), pause))
}

// spareOf is the rate at which unknown credentials of an address (IPv4, or IPv6 /56) are checked
// while its network is paused because of other addresses. So clients can still use new credentials.
var spareOf = Rate{6, time.Minute}

// spare takes a unit of spareOf. A network (IPv4 /24, IPv6 /48, and wider) has at most its own Stop
// of these units, so an attacker with all addresses of a network gains little.
func (l *Refusals) spare(ctx context.Context, at places, now time.Time) bool {
	o, _ := l.counts.Take(ctx, now, [][]Bucket{{
		{Key: l.names.name("spare of source", at.wide), Rates: []Rate{spareOf}},
		{Key: l.names.name("spare of net", at.net), Rates: []Rate{times(l.opts.Stop, l.wider[1])}},
		{Key: l.names.name("spare of net", at.vast), Rates: []Rate{times(l.opts.Stop, l.wider[2])}},
	}})
	return o.Plan == 0
}

// Refused implements [authn.RefusalLimiter]. It returns err, or the 429 to send instead.
func (l *Refusals) Refused(r *http.Request, err error) error {
	var e *authn.Error
	if !errors.As(err, &e) && !errors.Is(err, authn.ErrUnrecognized) || e != nil && e.Status != http.StatusUnauthorized {
		return err
	}
	at, now := callerOf(r), l.opts.Clock()
	all := append([]string{at.source}, at.around()...) // from narrow to wide
	limit, stop := l.plan(all, l.opts.Limit), l.plan(all, l.opts.Stop)
	ctx := r.Context()
	o, _ := l.counts.Take(ctx, now, [][]Bucket{limit}) // a Memory returns no error
	full := slices.IndexFunc(limit, func(b Bucket) bool { return b.Key == o.Key })
	stopped, _ := l.counts.Take(ctx, now, [][]Bucket{stop})
	if stopped.Plan < 0 {
		i := slices.IndexFunc(stop, func(b Bucket) bool { return b.Key == stopped.Key })
		l.note(at, all[i], now, true)
		full = max(full, min(2, len(all)-1)) // the /24 or /48 fills up next
	}
	limitedBy(ctx, l.opts.Sink, observe.Source, o.Plan == 0)
	if o.Plan == 0 {
		return err
	}
	l.note(at, all[full], now, false) // includes everything in this network
	return authn.Throttled(max(o.Wait, time.Second))
}

// plan returns the buckets of an address and of the networks around it.
func (l *Refusals) plan(all []string, r Rate) []Bucket {
	plan := make([]Bucket, len(all))
	for i, place := range all {
		plan[i] = Bucket{Key: l.names.name("refused net", place), Rates: []Rate{r}}
		if i == 0 {
			plan[i].Key = l.names.name("refused source", place)
		} else {
			plan[i].Rates[0] = times(r, l.wider[i-1])
		}
	}
	return plan
}

// note records an address or a network that exceeds a limit.
func (l *Refusals) note(at places, place string, now time.Time, stop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.places.get(place)
	p.within, p.until = at.vast, now.Add(goodFor)
	l.near.Store(int64(p.until.Sub(l.base)))
	if stop {
		p.paused = now.Add(pause)
		l.paused.Store(int64(p.paused.Sub(l.base)))
	}
	l.places.put(place, p, now)
}

// Accepted implements [authn.RefusalLimiter]. It remembers accepted credentials if their address
// exceeds a limit. If no address does, it costs one atomic load.
func (l *Refusals) Accepted(r *http.Request, p *authn.Presented, id authn.Identity) {
	last := l.near.Load()
	if last == 0 || !p.Any(r) {
		return
	}
	now := l.opts.Clock()
	over := int64(now.Sub(l.base)) >= last
	at := callerOf(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if over {
		if l.near.CompareAndSwap(last, 0) {
			l.places, l.good = refuserTable{}, acceptedTable{}
		}
		return
	}
	isOver := func(place string) bool { return now.Before(l.places.get(place).until) }
	if !isOver(at.source) && !slices.ContainsFunc(at.around(), isOver) {
		return
	}
	l.good.put(at, l.credential(r, p), l.account(id), now.Add(goodFor))
}

// account returns a keyed hash of the owner of the credentials: the user, whichever client acts for
// the user, or the client if there is no user.
func (l *Refusals) account(id authn.Identity) uint64 {
	if id.Subject != "" {
		return maphash.Comparable(l.seed, [3]string{id.Issuer, id.Subject})
	}
	return maphash.Comparable(l.seed, [3]string{id.Issuer, "", id.Client})
}

// credential returns a keyed hash of the credentials in a request. It decides only whether they are
// checked.
//
// The hash is the same for another spelling of the same credentials (white space, the case of the
// keyword or of a name in Basic, padding), and for the same credentials in another header or in the
// body. It differs if the request has further credentials.
func (l *Refusals) credential(r *http.Request, p *authn.Presented) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for name, text := range p.In(r) {
		_ = h.WriteByte(1)
		basic := false
		if name == "Authorization" { // only this header begins with a keyword
			keyword := authn.Keyword(r)
			if rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), keyword)); rest != "" {
				basic, text = strings.EqualFold(keyword, "basic"), rest
			}
		}
		for word := range strings.FieldsSeq(text) {
			word = strings.TrimRight(word, "=")
			if basic {
				word = ofOneCase(word)
			}
			_ = h.WriteByte(0)
			_, _ = h.WriteString(word)
		}
	}
	return h.Sum64()
}

// ofOneCase decodes the credentials of Basic and returns them with the name in lower case.
func ofOneCase(word string) string {
	text, err := base64.RawStdEncoding.DecodeString(word)
	if err != nil {
		return word
	}
	name, secret, _ := strings.Cut(string(text), ":")
	return strings.ToLower(name) + ":" + secret
}
