// Package cached adds an in-memory cache to a store, so that a valid credential is not looked up
// again for a short time. Use it if one query per authenticated request is too many. Create a
// [Store] with [New] and pass it to the schemes like any other store. For stores with only some
// interfaces use [NewParts].
//
// # What is cached
//
// The cache holds the lookups of authenticated requests, each with its account but without the
// password hash:
//
//   - static tokens, device tokens and other credentials, sessions, and opaque access tokens
//   - the revocation status of JWTs
//   - accounts whose passwords password.Cached has verified
//   - the permissions of accounts
//   - the accounts to which users of other issuers are linked
//   - OAuth 2.0 clients, except those with a chosen secret (storage.Client.Password)
//
// Everything else goes to the store each time, in particular logins. Disabled accounts and clients,
// revoked and expired credentials, and errors are never cached. The fact that a digest or a client is
// unknown is cached for at most one second.
//
// # Changes
//
// A change through the Store takes effect immediately in this process: when the call returns, no
// lookup accepts a credential that it revoked. Other processes that use the same database can
// accept such a credential for up to Options.TTL.
//
// With [Options.Courier] and a running [Store.Run], every change of the database takes effect in
// every process within [bus.Bound] (250 ms), even a change through the underlying store, SQL or the
// command line. A process that is not sure that it has received every change queries the store for
// each request. Without a courier, changes that bypass the Store take effect after the TTL, or
// after a call of a method of [Invalidator].
//
// The caller owns what a lookup returns: its slices are copies.
//
// The lookups of all schemes are in one package because they share one table and one order of
// invalidations.
package cached

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flood"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
)

// Base is the store under a [Store]. It has every interface of package storage, because a Store
// offers all of them. For stores with only some of the interfaces use [NewParts].
type Base interface {
	storage.Complete
	// InTransaction reports whether ctx carries a transaction of the store.
	InTransaction(ctx context.Context) bool
	// Ping reports whether the store is available.
	Ping(ctx context.Context) error
}

// The maximum values of Options.TTL and Options.UnknownTTL.
const (
	MaxTTL        = time.Hour
	MaxUnknownTTL = time.Second
)

// Options configure a [Store]. A nil *Options means all defaults.
type Options struct {
	// TTL is how long a lookup is cached: 0 to MaxTTL. 0 means 30 seconds, or MaxTTL with a Courier.
	// An entry never outlives the credential's own expiry. With a Courier, data of other stores, and
	// of an account table without triggers, is cached for at most 30 seconds.
	TTL time.Duration
	// Courier delivers the changes that other processes make, such as postgres.NewNotify or
	// gormstore.NewOutbox of the same store. Call Run of the Store: without it, or while the courier
	// cannot prove that every change has arrived, each lookup queries the store. A courier belongs to
	// one cache. Nil means that other processes' changes take effect after the TTL.
	Courier bus.Courier
	// Accelerator passes changes that are made through this Store to the other processes sooner than
	// the Courier does, such as redisstore.Channel with the courier outbox: a millisecond instead of
	// its interval. It requires a Courier, which remains the proof: texts can be lost, and a forged one
	// only makes caches read a record again. All processes need the same one. Nil means none.
	Accelerator bus.Accelerator
	// BlindLookups is the maximum number of concurrent lookups in the store while the Courier
	// cannot prove that every change has arrived; 0 means 64. Other lookups wait up to 250 ms and
	// then return ErrBlind. Credentials that the cache knows go first. One client network (an IPv4
	// /24 or IPv6 /48) may use an eighth of the lookups for credentials that the cache does not
	// know, so a flood from one network does not stop other networks.
	BlindLookups int
	// ServeStale uses cached entries, up to their TTL, even while the Courier cannot prove that
	// every change has arrived. A credential that another process revoked is then accepted for up
	// to the TTL (an hour by default), while the database or the network fails. Without ServeStale,
	// requests get 503 if the store cannot be queried. Freshness counts such uses, and a warning is
	// logged once a minute.
	ServeStale bool
	// Logger receives a record whenever the Courier begins or ceases to prove that every change has
	// arrived. Nil means slog.Default().
	Logger *slog.Logger
	// MaxEntries and MaxBytes limit the cache; 0 means 100,000 entries and 64 MiB. An entry takes
	// about 350 bytes plus the data of its session.
	MaxEntries, MaxBytes int
	// UnknownTTL is how long an unknown digest is cached, at most MaxUnknownTTL; 0 means
	// MaxUnknownTTL.
	UnknownTTL time.Duration
	// MaxUnknown limits the number of cached unknown digests, in addition to MaxEntries; 0 means
	// 10,000.
	MaxUnknown int
	// UnknownRate is the maximum number of unknown digests per second, so that a flood of
	// well-formed random tokens cannot overload the database; 0 means 10,000. UnknownPerNet is the
	// maximum per second from one network, an IPv4 /24 or an IPv6 /48; 0 means 1,000.
	//
	// Above either limit, lookups that are not cached return ErrTooManyUnknown for the rest of the
	// second. Above UnknownRate, only networks without an unknown digest in this second and the
	// previous one are still served. They share a reserve of half of UnknownRate. When the reserve
	// is used up, only networks that sent valid credentials before are served.
	//
	// The network is determined by storage.ClientAddr. Behind a reverse proxy, set
	// authn.Options.Proxies. Loopback and private addresses count only for UnknownRate, because
	// they usually belong to a proxy.
	UnknownRate, UnknownPerNet int
	// Timeout limits a lookup in the store; 0 means 5 seconds. A lookup does not end with the
	// request that began it, because other requests wait for its result.
	Timeout time.Duration
	// DenySet accepts signed access tokens without a query unless something that they depend on was
	// revoked recently. It requires a store that implements storage.Revocations, such as gormstore, and
	// a running Store.Run. Nil means none.
	DenySet *DenySet
	// Skip lists kinds that are not cached. For example, skip Sessions if several processes run
	// without Tell. Otherwise a process can read old session data for up to TTL after another
	// process changed it.
	Skip []Kind
	// Tell is called for each change that revokes or changes a cached record, within the
	// transaction of the change; nil means that other processes are not notified. Writes of Tell
	// with ctx are committed with the change, and an error rolls the change back. Deliver the
	// Change to the other processes and call Change.Apply with their Stores.
	Tell func(ctx context.Context, c Change) error
	// Sink receives each lookup, and the events of Courier's messages, for metrics and traces. Nil
	// means none.
	Sink *observe.Sink
	// Clock returns the current time, for the expiry of credentials; nil means time.Now. Set it
	// only in tests. The age of entries is measured with the monotonic clock of the process. If
	// Clock is set, its forward movements are measured instead. So setting a clock back never
	// extends an entry.
	Clock func() time.Time
}

// ErrBlind means that the Courier cannot prove that every change has arrived, and that too many
// other lookups already query the store (Options.BlindLookups). Schemes respond with 503.
var ErrBlind = errors.New("cached: too many lookups without a lease")

// ErrTooManyUnknown means that too many digests were unknown in this second. The Store then answers
// only from the cache. Schemes respond with 503.
var ErrTooManyUnknown = errors.New("cached: too many unknown credentials per second")

// base is an alias for embedding. Methods that Store does not override are those of the underlying
// store.
type base = Base

// Store is a store with a cache. It is safe for concurrent use.
type Store struct {
	base
	ttl, unknownTTL time.Duration
	timeout         time.Duration
	skip            [kinds]bool
	tell            func(context.Context, Change) error
	clock           func() time.Time // for the expiry of credentials
	elapsed         *elapsed.Clock   // for the age of entries
	follow          *following       // nil without a courier
	hurry           *hurried         // nil without an accelerator
	denied          *denied          // nil without a deny set
	logger          *slog.Logger
	running         atomic.Bool   // Run
	sink            *observe.Sink // nil: none

	bypass atomic.Bool
	seed   maphash.Seed
	// seq counts invalidations. stripes hold the number of the last invalidation of a name, and
	// flushed that of the last flush.
	seq, flushed atomic.Uint64
	stripes      [stripes]atomic.Uint64

	shards  []shard
	limits  limits
	flood   *flood.Guard
	strings interned
}

// New returns a Store over base. It returns an error if base is nil or an option is out of range.
func New(base Base, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if base == nil {
		return nil, errors.New("cached: New: store is required")
	}
	for _, n := range []*int{&o.MaxEntries, &o.MaxBytes, &o.MaxUnknown, &o.UnknownRate, &o.UnknownPerNet, &o.BlindLookups} {
		if *n < 0 {
			return nil, errors.New("cached: New: negative limit (MaxEntries, MaxBytes, MaxUnknown, UnknownRate, UnknownPerNet and BlindLookups must be at least 0)")
		}
	}
	if o.TTL < 0 || o.TTL > MaxTTL || o.UnknownTTL < 0 || o.UnknownTTL > MaxUnknownTTL || o.Timeout < 0 {
		return nil, fmt.Errorf("cached: New: TTL %v, UnknownTTL %v or Timeout %v out of range (0 to %v, 0 to %v, at least 0)", o.TTL, o.UnknownTTL, o.Timeout, MaxTTL, MaxUnknownTTL)
	}
	if o.Courier != nil {
		orElse(&o.TTL, MaxTTL)
	}
	orElse(&o.TTL, untoldTTL)
	orElse(&o.UnknownTTL, MaxUnknownTTL)
	orElse(&o.Timeout, 5*time.Second)
	orElse(&o.MaxEntries, 100_000)
	orElse(&o.MaxBytes, 64<<20)
	orElse(&o.MaxUnknown, 10_000)
	orElse(&o.UnknownRate, 10_000)
	orElse(&o.UnknownPerNet, 1000)
	s := &Store{
		base: base, ttl: o.TTL, unknownTTL: o.UnknownTTL, timeout: o.Timeout, tell: o.Tell, sink: o.Sink,
		clock: o.Clock, elapsed: elapsed.New(o.Clock), seed: maphash.MakeSeed(), logger: o.Logger,
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	for _, k := range o.Skip {
		if k >= kinds {
			return nil, fmt.Errorf("cached: New: unknown kind %d in Skip", k)
		}
		s.skip[k] = true
	}
	var err error
	if s.follow, err = newFollowing(&o, base); err != nil {
		return nil, err
	}
	if s.hurry, err = newHurried(&o); err != nil {
		return nil, err
	}
	if s.denied, err = newDenied(s, o.DenySet); err != nil {
		return nil, err
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

// now returns the time since the Store was created.
func (s *Store) now() time.Duration { return s.elapsed.Now() }

// callTell calls Options.Tell. A panic in it becomes an error, which rolls back the change.
func (s *Store) callTell(ctx context.Context, c Change) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of type %T in Options.Tell", v) // without the value, which may contain a secret
		}
	}()
	if err = s.tell(ctx, c); err == nil {
		s.reported(observe.Bus{Event: observe.Sent, Courier: "other", Messages: 1})
	}
	return err
}
