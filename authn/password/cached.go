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

// MaxCacheTTL is the maximum of CacheOptions.TTL.
const MaxCacheTTL = time.Minute

// CacheOptions configure [Cached]. A nil *CacheOptions means all defaults.
type CacheOptions struct {
	// TTL is how long a verified password is cached; 0 means MaxCacheTTL, which is also the
	// maximum. A client that sends its password with every request costs one hash per TTL. Each of
	// these hashes also counts as a login attempt. Only the first 60 successful attempts per hour
	// are free (throttle.LoginLimits.Free), so with a shorter TTL the client may reach a limit.
	TTL time.Duration
	// MaxEntries limits the memory; 0 means 10,000 entries, about 2 MB. Over a store of package
	// cached it is about 10 MB, because entries keep their accounts.
	MaxEntries int
}

// Cached returns a password checker that caches verified passwords. Use it for Basic, where every
// request carries the password. It returns an error if c is nil, TTL is negative or above
// MaxCacheTTL, or MaxEntries is negative.
//
// A cache hit computes no hash and counts no attempt. It still reads the account, so disabling the
// account, a new password and logging out everywhere take effect immediately. If the store is a
// storage.LiveUsers, such as one of package cached, Cached reads the store's cached account and
// keeps it with the entry. A change that bypasses the store may then take effect only when the
// entry expires.
//
// Failures are not cached. The cache holds keyed hashes of passwords, computed with a random key of
// this process. Concurrent first requests with the same password share one hash.
//
// Cached does not weaken the limits: an entry is valid only for the network address that the
// password came from. The first different password from that address removes the entry, so the next
// attempt counts again.
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
		return nil, errors.New("password: Cached: checker missing, or TTL or MaxEntries out of range (TTL 0 to 1 minute, MaxEntries at least 0)")
	}
	k := &cached{Checker: c, elapsed: elapsed.New(c.clock), seed: maphash.MakeSeed(), ttl: o.TTL, entries: bounded.New[place, entry](o.MaxEntries, o.MaxEntries)}
	if storage.Itself(c.store) {
		k.live, _ = c.store.(storage.LiveUsers)
	}
	_, _ = rand.Read(k.key[:]) // cannot fail; see crypto/rand
	return k, nil
}

type mac [sha256.Size]byte

// place is the key of an entry: the hash of an account name, and an address. Names with the same
// hash replace each other's entry but are not confused, because the entry's mac covers the name.
type place struct {
	name   uint64
	source netip.Addr // the address that authn.NetworkOf names
}

// entry is valid while the account is as it was when the password was verified.
type entry struct {
	password    mac // over name and password
	id          string
	fingerprint storage.Digest // of the stored hash
	epoch       int64
	ends        time.Duration // by the clock elapsed
	gone        *atomic.Bool  // set when the entry is removed, to invalidate leases
}

type cached struct {
	*Checker
	elapsed *elapsed.Clock
	live    storage.LiveUsers // nil if the store is not a LiveUsers
	seed    maphash.Seed
	key     [32]byte // random, only of this process
	ttl     time.Duration

	mu      sync.Mutex
	entries *bounded.Map[place, entry]
	checks  flight.Group[check, bool] // running first checks; the result is whether the password was right
}

// check identifies a first check: a password from a place.
type check struct {
	at     place
	secret mac
}

// CheckPassword implements [authn.PasswordChecker]. Over a store with leases (package cached), the
// middleware can keep the login of a hit; see authn.Login.KeepOf.
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
		if !call.Result { // a failure is not shared
			return k.Checker.CheckPassword(r, name, password)
		}
	}
}

// keep returns how long the middleware can reuse a hit: as long as the entry exists. The middleware
// reuses it only for one address, but the checker may trust other proxies, so Check compares the
// addresses again.
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

// entryLease is valid while the account is unchanged and the entry exists.
type entryLease struct {
	storage.Lease
	timed   timedLease // Lease as a timedLease, or nil
	elapsed *elapsed.Clock
	ends    time.Duration
	gone    *atomic.Bool
}

func (l *entryLease) Valid(ctx context.Context) bool {
	return !l.gone.Load() && l.elapsed.Now() < l.ends && l.Lease.Valid(ctx)
}

// ValidAt is Valid for a caller that has already read the clock.
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

// first checks the password and caches it if it is right.
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

// user returns the account of a hit and the fingerprint of its hash.
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

// sourceOf returns the address that authn.NetworkOf names.
func sourceOf(proxies authn.TrustedProxies, r *http.Request) netip.Addr {
	return network.Source.First(proxies.ClientAddr(r))
}

// mac returns the SHA-256 of the key and both texts. The length of the first text separates them,
// so different pairs have different inputs. The key has a fixed length, and neither the key nor the
// result leaves the process, so a prefix is as good as an HMAC. mac leaves no copy of the password
// in memory.
func (k *cached) mac(a, b string) (m mac) {
	var room [256]byte // longer inputs are allocated on the heap
	buf := append(room[:0], k.key[:]...)
	if n := len(buf) + 4 + len(a) + len(b); n > len(room) {
		buf = append(make([]byte, 0, n), k.key[:]...)
	}
	buf = append(append(binary.BigEndian.AppendUint32(buf, uint32(len(a))), a...), b...)
	m = sha256.Sum256(buf)
	clear(buf)
	return m
}

// join returns the running first check of a password, and whether the caller must perform it.
func (k *cached) join(c check) (call *flight.Call[bool], first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if call = k.checks.Get(c); call != nil {
		return call, false
	}
	return k.checks.Begin(c, k.elapsed.Now()), true
}

// get returns the entry of a place. It removes an entry of another password in the same step, so of
// several concurrent guesses only one is compared with it.
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

// drop removes an entry and invalidates its leases. The caller holds the lock.
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
