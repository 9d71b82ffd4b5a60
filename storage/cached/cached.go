// Package cached puts a cache in front of a store: a credential that was looked up and
// is good is not looked up again for a short time. Use it where one query for each
// authenticated request is too many. Schemes take a *Store like any other store.
//
// What is kept are the lookups of an authenticated request: static tokens, device tokens,
// sessions, opaque access tokens, and the standings of JWTs, each with its account but
// without the account's password hash; the accounts whose passwords password.Cached has
// verified; and the permissions of accounts. Everything else is asked of the store each time, logins above all. Disabled accounts, ended and expired credentials, and errors are never
// kept; that a digest is unknown is kept for a second.
//
// A change that goes through the Store holds at once in this process: when the
// call returns nothing that it ended is answered with yes. Other processes on the same
// database go on for up to Options.TTL, unless Options.Tell tells them. Changes that go
// around the Store (the store beneath it, SQL, the command line) hold after the TTL, or
// after a call of an Invalidator's method.
//
// What a lookup returns is the caller's own: its lists are copies.
package cached

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flood"
	"github.com/vestibule-auth/vestibule/storage"
)

// Base is a store with everything, so that a Store has no interface that the store beneath
// lacks. For stores with only some of the interfaces see NewParts.
type Base interface {
	storage.Complete
	// InTransaction reports whether ctx carries a transaction of the store.
	InTransaction(ctx context.Context) bool
	// Ping asks whether the store answers.
	Ping(ctx context.Context) error
}

// Limits of Options.
const (
	MaxTTL        = time.Hour
	MaxUnknownTTL = time.Second
)

// Options change a Store; nil is fine.
type Options struct {
	// TTL is how long a lookup is kept, at most MaxTTL; 0 is 30 seconds. It is never kept
	// beyond the credential's own expiry.
	TTL time.Duration
	// MaxEntries and MaxBytes bound what is kept; 0 is 100,000 and 64 MiB. An entry takes
	// about 350 bytes and the data of its session.
	MaxEntries, MaxBytes int
	// UnknownTTL is how long it is kept that a digest is unknown, at most MaxUnknownTTL,
	// which is also what 0 is.
	UnknownTTL time.Duration
	// MaxUnknown bounds how many of these are kept, apart from MaxEntries; 0 is 10,000.
	MaxUnknown int
	// UnknownRate is how many digests in a second may turn out to be unknown, so that a
	// flood of well-formed junk does not overload the database; 0 is 10,000. UnknownPerNet
	// is how many of them may come from one network, an IPv4 /24 or an IPv6 /48; 0 is 1,000.
	// Beyond either, a lookup of what is not kept gives ErrTooManyUnknown for the rest of the second.
	// Networks that have sent no unknown digest in this second and the one before are
	// served beyond UnknownRate too, up to half as many again, and after that those from
	// which good credentials came before.
	//
	// The address of the client is that of storage.ClientAddr. Behind a reverse proxy, name
	// it in authn.Options.Proxies. Loopback and private addresses count for UnknownRate
	// only, since they are most often those of a proxy.
	UnknownRate, UnknownPerNet int
	// Timeout bounds a lookup in the store, which does not end with the request that
	// began it, since others wait for it; 0 is 5 seconds.
	Timeout time.Duration
	// Skip names what is not kept. With several processes that do not tell each other,
	// one sees the Sessions' data of another up to TTL late.
	Skip []Kind
	// Tell, where it is not nil, is told of each change that ended something, within the
	// transaction of the change: what it writes with ctx commits with it, and its error
	// undoes it. Who delivers it calls Change.Apply on the other processes' Stores.
	Tell func(ctx context.Context, c Change) error
	// Clock is for tests; nil is time.Now. It judges the expiry of credentials. How long
	// something is kept is measured by the process's monotonic clock, or, if Clock is set,
	// by the forward movements of Clock: a clock that is set back does not keep anything
	// longer.
	Clock func() time.Time
}

// ErrTooManyUnknown means that too many digests were unknown in this second, and that this one is
// not kept: the Store cannot tell whether it is good. Schemes answer it with 503.
var ErrTooManyUnknown = errors.New("cached: too many unknown credentials in a second")

// base is embedded: what is not overridden goes to the store.
type base = Base

// Store is a store with a cache in front of it. It is safe for concurrent use.
type Store struct {
	base
	ttl, unknownTTL time.Duration
	timeout         time.Duration
	skip            [kinds]bool
	tell            func(context.Context, Change) error
	clock           func() time.Time // of expiries
	elapsed         *elapsed.Clock   // of everything else

	bypass atomic.Bool
	seed   maphash.Seed
	// seq counts invalidations; stripes say which was the last one of a name, and flushed
	// which was the last one of everything.
	seq, flushed atomic.Uint64
	stripes      [stripes]atomic.Uint64

	shards  []shard
	limits  limits
	flood   *flood.Guard
	strings interned
}

// New returns a Store over base.
func New(base Base, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if base == nil {
		return nil, errors.New("cached: a store is needed")
	}
	for _, n := range []*int{&o.MaxEntries, &o.MaxBytes, &o.MaxUnknown, &o.UnknownRate, &o.UnknownPerNet} {
		if *n < 0 {
			return nil, errors.New("cached: a bound below 0")
		}
	}
	if o.TTL < 0 || o.TTL > MaxTTL || o.UnknownTTL < 0 || o.UnknownTTL > MaxUnknownTTL || o.Timeout < 0 {
		return nil, fmt.Errorf("cached: want a TTL of up to %v, of up to %v for what is unknown, and no timeout below 0", MaxTTL, MaxUnknownTTL)
	}
	orElse(&o.TTL, 30*time.Second)
	orElse(&o.UnknownTTL, MaxUnknownTTL)
	orElse(&o.Timeout, 5*time.Second)
	orElse(&o.MaxEntries, 100_000)
	orElse(&o.MaxBytes, 64<<20)
	orElse(&o.MaxUnknown, 10_000)
	orElse(&o.UnknownRate, 10_000)
	orElse(&o.UnknownPerNet, 1000)
	s := &Store{
		base: base, ttl: o.TTL, unknownTTL: o.UnknownTTL, timeout: o.Timeout, tell: o.Tell,
		clock: o.Clock, elapsed: elapsed.New(o.Clock), seed: maphash.MakeSeed(),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	for _, k := range o.Skip {
		if k >= kinds {
			return nil, fmt.Errorf("cached: unknown kind %d", k)
		}
		s.skip[k] = true
	}
	s.flood = flood.New(o.UnknownRate, o.UnknownPerNet)
	s.shards, s.limits = newShards(o.MaxEntries, o.MaxBytes, o.MaxUnknown)
	return s, nil
}

func orElse[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// now is the time since the Store was opened.
func (s *Store) now() time.Duration { return s.elapsed.Now() }

// told calls Options.Tell. A panic in it undoes the change, as an error does.
func (s *Store) told(ctx context.Context, c Change) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of type %T in Options.Tell", v) // its text may hold a secret
		}
	}()
	return s.tell(ctx, c)
}
