package throttle

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// RefusalOptions change a Refusals; nil is fine.
type RefusalOptions struct {
	// Limit is how many refused credentials of one address (IPv4, or IPv6 /64) are answered
	// with 401; those beyond are answered with 429. The zero value is 120/m. A network (IPv4
	// /24, IPv6 /48) has four times as many.
	Limit Rate
	// Stop is how many refused credentials of one address are checked at all. Beyond it,
	// credentials in Authorization are answered with 429 unchecked, unless they were accepted
	// from there within the last ten minutes. The zero value is ten times Limit. A network has
	// four times as many; beyond that, addresses that are not over Stop themselves still have
	// six checks a minute.
	Stop Rate
	// Proxies are believed about the client's address.
	Proxies authn.TrustedProxies
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// Refusals limits requests with refused credentials by address, in the memory of this process.
// It is the authn.RefusalLimiter of a middleware (authn.Options.Refusals).
//
// Accepted credentials are not counted. Those of an address that exceeds Limit are still
// accepted: only rejections change from 401 to 429. An address that exceeds Stop pauses for a second,
// and credentials that were not accepted from there before must wait.
type Refusals struct {
	opts   RefusalOptions
	names  namer
	counts *Memory
	seed   maphash.Seed
	base   time.Time
	// Until when some address is paused, and until when some is near its limit, since base; 0:
	// none is. What costs more than these is done only then.
	paused, near atomic.Int64

	mu     sync.Mutex
	places map[string]refuser // addresses and networks over a limit
	good   map[uint64]time.Time
}

// refuser is an address or a network that exceeds a limit.
type refuser struct {
	until  time.Time // when it is forgotten
	paused time.Time // until when unknown credentials wait
}

var _ authn.RefusalLimiter = (*Refusals)(nil)

const (
	maxRefusers = 10_000
	maxGood     = 10_000
	goodFor     = 10 * time.Minute
	pause       = time.Second
)

// NewRefusals returns a limit of refused credentials.
func NewRefusals(opts *RefusalOptions) (*Refusals, error) {
	l := &Refusals{names: newNamer(nil), seed: maphash.MakeSeed(), base: time.Now().Add(-time.Hour), places: make(map[string]refuser), good: make(map[uint64]time.Time),
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
	if err := errors.Join(l.opts.Limit.check(), l.opts.Stop.check()); err != nil {
		return nil, err
	}
	if l.opts.Clock == nil {
		l.opts.Clock = time.Now
	}
	return l, nil
}

func times(r Rate, n int) Rate { return Rate{min(r.Limit*n, MaxLimit), r.Window} }

// Admit implements authn.RefusalLimiter. While no address exceeds Stop it costs one atomic load.
func (l *Refusals) Admit(r *http.Request) error {
	last := l.paused.Load()
	if last == 0 || len(r.Header["Authorization"]) == 0 {
		return nil
	}
	now := l.opts.Clock()
	if int64(now.Sub(l.base)) >= last {
		l.paused.CompareAndSwap(last, 0)
		return nil
	}
	at := placesOf(l.opts.Proxies.ClientAddr(r))
	l.mu.Lock()
	own, net := l.places[at.source].paused.Sub(now), l.places[at.net].paused.Sub(now)
	good := max(own, net) <= 0 || now.Before(l.good[l.credential(r, at)])
	l.mu.Unlock()
	if good || own <= 0 && l.spare(r.Context(), at, now) {
		return nil
	}
	return authn.Throttled(min(max(own, net), pause))
}

// spareOf is how many unknown credentials of an address (IPv4, or IPv6 /56) are checked while
// others of its network keep that paused: those who come with a new credential need one.
var spareOf = Rate{6, time.Minute}

// spare takes one of these. Together a network has no more of them than it has of Stop, so that
// somebody with all of its addresses gains little.
func (l *Refusals) spare(ctx context.Context, at places, now time.Time) bool {
	o, _ := l.counts.Take(ctx, now, [][]Bucket{{
		{Key: l.names.name("spare of source", at.wide), Rates: []Rate{spareOf}},
		{Key: l.names.name("spare of net", at.net), Rates: []Rate{times(l.opts.Stop, 4)}},
	}})
	return o.Plan == 0
}

// Refused implements authn.RefusalLimiter. It returns err, or the 429 to answer in its place.
func (l *Refusals) Refused(r *http.Request, err error) error {
	var e *authn.Error
	if !errors.As(err, &e) && !errors.Is(err, authn.ErrUnrecognized) || e != nil && e.Status != http.StatusUnauthorized {
		return err
	}
	at, now := placesOf(l.opts.Proxies.ClientAddr(r)), l.opts.Clock()
	source, net := l.names.name("refused source", at.source), l.names.name("refused net", at.net)
	plan := func(r Rate) [][]Bucket {
		return [][]Bucket{{{Key: source, Rates: []Rate{r}}, {Key: net, Rates: []Rate{times(r, 4)}}}}
	}
	ctx := r.Context()
	o, _ := l.counts.Take(ctx, now, plan(l.opts.Limit)) // a Memory does not fail
	stop, _ := l.counts.Take(ctx, now, plan(l.opts.Stop))
	switch {
	case stop.Plan < 0 && stop.Key == net:
		l.note(at.net, now, true)
	case stop.Plan < 0:
		l.note(at.source, now, true)
	}
	if o.Plan == 0 {
		return err
	}
	l.note(at.source, now, false)
	if stop.Plan < 0 || o.Key == net {
		l.note(at.net, now, false)
	}
	return authn.Throttled(max(o.Wait, time.Second))
}

// note keeps an address or a network that exceeds a limit.
func (l *Refusals) note(place string, now time.Time, stop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.places[place]
	if !ok && len(l.places) >= maxRefusers {
		for old, x := range l.places { // those whose time is over, or else any one
			if delete(l.places, old); now.Before(x.until) {
				break
			}
		}
	}
	p.until = now.Add(goodFor)
	l.near.Store(int64(p.until.Sub(l.base)))
	if stop {
		p.paused = now.Add(pause)
		l.paused.Store(int64(p.paused.Sub(l.base)))
	}
	l.places[place] = p
}

// Accepted implements authn.RefusalLimiter: it notes a credential that was accepted, if its
// address is over a limit. While none is it costs one atomic load.
func (l *Refusals) Accepted(r *http.Request) {
	last := l.near.Load()
	if last == 0 || len(r.Header["Authorization"]) == 0 {
		return
	}
	now := l.opts.Clock()
	over := int64(now.Sub(l.base)) >= last
	at := placesOf(l.opts.Proxies.ClientAddr(r))
	l.mu.Lock()
	defer l.mu.Unlock()
	if over {
		if l.near.CompareAndSwap(last, 0) {
			clear(l.places)
			clear(l.good)
		}
		return
	}
	if !now.Before(l.places[at.source].until) && !now.Before(l.places[at.net].until) {
		return
	}
	if len(l.good) >= maxGood {
		for c := range l.good { // any
			delete(l.good, c)
			break
		}
	}
	l.good[l.credential(r, at)] = now.Add(goodFor)
}

// credential is a keyed hash of what the request presents, and of where it comes from. It decides
// only whether the credential is checked. The same credential in another spelling (white space,
// the case of the keyword, padding) has the same hash: otherwise one could fill the table.
func (l *Refusals) credential(r *http.Request, at places) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	_, _ = h.WriteString(at.source)
	for _, v := range r.Header["Authorization"] {
		keyword := true
		for word := range strings.FieldsSeq(v) {
			if keyword {
				word = strings.ToLower(word)
			}
			keyword = false
			_ = h.WriteByte(0)
			_, _ = h.WriteString(strings.TrimRight(word, "="))
		}
	}
	return h.Sum64()
}
