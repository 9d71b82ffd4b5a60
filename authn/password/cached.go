package password

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flight"
	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/storage"
)

// MaxCacheTTL is the longest that a verified password is remembered.
const MaxCacheTTL = time.Minute

// CacheOptions change Cached; nil is fine.
type CacheOptions struct {
	// TTL is how long a verified password is remembered; 0 is MaxCacheTTL, and more is
	// refused. A client that sends its password all the time costs one hash in each TTL, and
	// the login limits give back 60 of those an hour (throttle.LoginLimits.Free): with a
	// shorter TTL it may meet a limit.
	TTL time.Duration
	// MaxEntries bounds the memory; 0 is 10,000, about 2 MB, and 10 MB over a store of
	// package cached, whose accounts are kept with them.
	MaxEntries int
}

// Cached returns a checker that remembers verified passwords, for Basic, where
// every request carries one. A hit costs no hash and no unit of a
// limit, but it reads the account each time: a disabled account, a new password
// and a log-out-everywhere hold at once. Where the store is a storage.LiveUsers, as
// one of package cached is, it reads what that has at hand, and so a change that went
// around the store may hold as late as the entry's end; the account that was read is kept with
// the entry then. A failure is never remembered, and no password is kept, only keyed hashes
// under keys of this process. Many first requests at once with one password wait for one hash.
//
// A hit is no way around the limits: an account is remembered for the address
// that the password came from, and the first other password from there makes the
// cache forget it, so that the next one is counted again.
func Cached(c *Checker, opts *CacheOptions) (authn.PasswordChecker, error) {
	var o CacheOptions
	if opts != nil {
		o = *opts
	}
	if o.TTL == 0 {
		o.TTL = MaxCacheTTL
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 10_000
	}
	if c == nil || o.TTL < 0 || o.TTL > MaxCacheTTL || o.MaxEntries < 0 {
		return nil, errors.New("password: Cached wants a checker, a TTL of a minute at most, and a number of entries")
	}
	k := &cached{Checker: c, elapsed: elapsed.New(c.clock), seed: maphash.MakeSeed(), ttl: o.TTL, entries: bounded.New[place, entry](o.MaxEntries, o.MaxEntries)}
	if storage.Itself(c.store) {
		k.live, _ = c.store.(storage.LiveUsers)
	}
	_, _ = rand.Read(k.key[:]) // never fails; see crypto/rand
	return k, nil
}

type mac [sha256.Size]byte

// place is where an account is remembered: a name from an address. Two names of one hash
// push each other out, and neither is taken for the other: the entry's mac is over the name.
type place struct {
	name   uint64
	source netip.Addr // that of authn.NetworkOf
}

// entry is bound to what the account was when the password was verified.
type entry struct {
	password    mac // over name and password
	id          string
	fingerprint storage.Digest // of the stored hash
	epoch       int64
	ends        time.Duration // of elapsed
	gone        *atomic.Bool  // set when it is forgotten: what was kept of it ends
}

type cached struct {
	*Checker
	elapsed *elapsed.Clock
	live    storage.LiveUsers // nil: the store is none
	seed    maphash.Seed
	key     [32]byte // of this process; never shown
	ttl     time.Duration

	mu      sync.Mutex
	entries *bounded.Map[place, entry]
	checks  flight.Group[check, bool] // first checks, and whether the password was right
}

// check is a password from a place.
type check struct {
	at     place
	secret mac
}

// CheckPassword implements authn.PasswordChecker. Over a store that gives leases (package cached),
// the login of a hit can be kept: see authn.Login.KeepOf.
func (k *cached) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	if len(password) > MaxLength || len(name) > MaxLength {
		return k.Checker.CheckPassword(r, name, password)
	}
	form, refused, err := k.canonical(name)
	if refused != nil || err != nil {
		return k.Checker.CheckPassword(r, name, password)
	}
	at := place{maphash.String(k.seed, form), sourceOf(k.opts.Proxies, r)}
	c := check{at, k.mac(form, password)}
	for {
		if e, ok := k.get(c, k.elapsed.Now()); ok {
			u, fingerprint, err := k.user(r.Context(), e.id)
			switch {
			case err == nil && u.Active && u.Name == form && u.Epoch == e.epoch && fingerprint == e.fingerprint:
				login, err := k.login(r.Context(), u)
				if lease := u.LeaseOf(k.store); err == nil && lease != nil && k.opts.User == nil {
					login = login.Kept(k, k.keep(at.source, e, lease))
				}
				return login, err
			case err != nil && !errors.Is(err, storage.ErrNotFound):
				return authn.Login{}, err
			}
			k.forget(at)
		}
		call, first := k.join(c)
		if first {
			return k.first(r, name, password, c, call)
		}
		if err := call.Wait(r.Context()); err != nil {
			return authn.Login{}, err
		}
		if !call.Result { // a failure is nobody else's
			return k.Checker.CheckPassword(r, name, password)
		}
	}
}

// keep says for how long a hit can be used again: while the entry is there. The middleware gives it
// only to requests of one address; the checker may know of more proxies.
func (k *cached) keep(source netip.Addr, e entry, lease storage.Lease) authn.Keep {
	l := &entryLease{Lease: lease, elapsed: k.elapsed, ends: e.ends, gone: e.gone}
	l.timed, _ = lease.(timedLease)
	keep := authn.Keep{Lease: l}
	if !k.opts.Proxies.IsZero() {
		keep.Check = func(r *http.Request) error {
			if sourceOf(k.opts.Proxies, r) != source {
				return authn.ErrAskAgain
			}
			return nil
		}
	}
	return keep
}

// entryLease holds while the account is as it was and the entry is there.
type entryLease struct {
	storage.Lease
	timed   timedLease // Lease, or nil
	elapsed *elapsed.Clock
	ends    time.Duration
	gone    *atomic.Bool
}

func (l *entryLease) Valid(ctx context.Context) bool {
	return !l.gone.Load() && l.elapsed.Now() < l.ends && l.Lease.Valid(ctx)
}

// ValidAt is Holds for a caller that has read the clock.
func (l *entryLease) ValidAt(ctx context.Context, now elapsed.Instant) bool {
	if l.gone.Load() || l.elapsed.At(now) >= l.ends {
		return false
	}
	if l.timed != nil {
		return l.timed.ValidAt(ctx, now)
	}
	return l.Lease.Valid(ctx)
}

type timedLease interface {
	ValidAt(ctx context.Context, now elapsed.Instant) bool
}

// first checks the password and remembers it where it is right.
func (k *cached) first(r *http.Request, name, password string, c check, call *flight.Call[bool]) (authn.Login, error) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.checks.End(c, call)
	}()
	login, u, err := k.Checker.check(r, name, password)
	if err != nil {
		return authn.Login{}, err
	}
	k.put(c.at, entry{password: c.secret, id: u.ID, fingerprint: u.Password.Fingerprint(), epoch: u.Epoch, ends: call.Began + k.ttl, gone: new(atomic.Bool)})
	call.Result = true
	return login, nil
}

// user is the account of a hit, with the fingerprint of its hash.
func (k *cached) user(ctx context.Context, id string) (storage.User, storage.Digest, error) {
	if k.live != nil {
		return k.live.LiveUser(ctx, id)
	}
	u, err := k.store.UserByID(ctx, id)
	if err != nil {
		return storage.User{}, storage.Digest{}, err
	}
	return u, u.Password.Fingerprint(), nil
}

// sourceOf is authn.NetworkOf without its text.
func sourceOf(proxies authn.TrustedProxies, r *http.Request) netip.Addr {
	return network.Source.First(proxies.ClientAddr(r))
}

// mac is the SHA-256 of a key of this process and both texts, with the length of the
// first, so that no two pairs are one. The key has a fixed length and the result leaves the
// process as little as the key, so that a prefix does what an HMAC would. No copy of the
// password stays in memory.
func (k *cached) mac(a, b string) (m mac) {
	var room [256]byte // longer ones go to the heap
	buf := append(room[:0], k.key[:]...)
	if n := len(buf) + 4 + len(a) + len(b); n > len(room) {
		buf = append(make([]byte, 0, n), k.key[:]...)
	}
	buf = append(append(binary.BigEndian.AppendUint32(buf, uint32(len(a))), a...), b...)
	m = sha256.Sum256(buf)
	clear(buf)
	return m
}

// join returns the first check of a password that is under way, and whether it is the caller's to
// make.
func (k *cached) join(c check) (call *flight.Call[bool], first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if call = k.checks.Get(c); call != nil {
		return call, false
	}
	return k.checks.Begin(c, k.elapsed.Now()), true
}

// get takes the entry of a place away where it is not of this password, in the same
// step: of many guesses at once one can look at it.
func (k *cached) get(c check, now time.Duration) (entry, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries.Get(c.at)
	if ok && (e.password != c.secret || now >= e.ends) {
		k.drop(c.at, e)
		return entry{}, false
	}
	return e, ok
}

func (k *cached) forget(at place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.entries.Get(at); ok {
		k.drop(at, e)
	}
}

// drop forgets an entry, and ends what is kept of it. The caller holds the lock.
func (k *cached) drop(at place, e entry) {
	e.gone.Store(true)
	k.entries.Drop(at)
}

func (k *cached) put(at place, e entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, again := k.entries.Get(at); again {
		old.gone.Store(true)
	}
	k.entries.Put(at, e, 1)
}
