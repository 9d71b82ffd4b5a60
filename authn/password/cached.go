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
	"slices"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/elapsed"
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
// every request carries one (RULES T6). A hit costs no hash and no unit of a
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
	k := &cached{Checker: c, elapsed: elapsed.New(c.clock), seed: maphash.MakeSeed(), ttl: o.TTL, max: o.MaxEntries, entries: make(map[place]entry), flights: make(map[check]*flight)}
	k.live, _ = c.store.(storage.LiveUsers)
	_, _ = rand.Read(k.key[:]) // never fails; see crypto/rand
	return k, nil
}

type mac [sha256.Size]byte

// place is where an account is remembered: a name from an address. Two names of one hash
// push each other out, and neither is taken for the other: the entry's mac is over the name.
type place struct {
	name   uint64
	source netip.Addr // that of authn.SourceOf
}

// entry is bound to what the account was when the password was verified.
type entry struct {
	password    mac // over name and password
	id          string
	fingerprint storage.Digest // of the stored hash
	epoch       int64
	ends        time.Duration // of elapsed
	known       *known        // nil: nobody asked yet, or the store leases nothing
}

// known is the login of an entry while the account is as it was.
type known struct {
	login authn.SharedLogin
	lease storage.Lease
}

type cached struct {
	*Checker
	elapsed *elapsed.Clock
	live    storage.LiveUsers // nil: the store is none
	seed    maphash.Seed
	key     [32]byte // of this process; never shown
	ttl     time.Duration
	max     int

	mu      sync.Mutex
	entries map[place]entry
	flights map[check]*flight
}

// check is what a flight is of.
type check struct {
	at     place
	secret mac
}

// flight is a first check that others of the same wait for.
type flight struct {
	done chan struct{}
	ok   bool // set before done is closed
}

// CheckPassword implements authn.PasswordChecker. The login is the caller's own.
func (k *cached) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	shared, err := k.share(r, name, password)
	if err != nil {
		return authn.Login{}, err
	}
	login := shared.Login
	login.Roles = slices.Clip(slices.Clone(login.Roles))
	if u, ok := login.User.(*storage.User); ok {
		login.User = u.CloneUser().(*storage.User)
	}
	return login, nil
}

// ShareLogin implements authn.LoginSharer. Over a store that keeps answers (package
// cached), logins are shared by the requests of one address with one password.
func (k *cached) ShareLogin() (authn.PasswordChecker, func(*http.Request, string, string) (*authn.SharedLogin, error)) {
	return k, k.share
}

// alone asks the checker for one request.
func (k *cached) alone(r *http.Request, name, password string) (*authn.SharedLogin, error) {
	login, err := k.Checker.CheckPassword(r, name, password)
	if err != nil {
		return nil, err
	}
	return &authn.SharedLogin{Login: login}, nil
}

func (k *cached) share(r *http.Request, name, password string) (*authn.SharedLogin, error) {
	if len(password) > MaxLength || len(name) > MaxLength {
		return k.alone(r, name, password)
	}
	form, refused, err := k.canonical(name)
	if refused != nil || err != nil {
		return k.alone(r, name, password)
	}
	at := place{maphash.String(k.seed, form), sourceOf(k.opts.Proxies, r)}
	c := check{at, k.mac(form, password)}
	for {
		if e, ok := k.get(c, k.elapsed.Now()); ok {
			if e.known != nil && e.known.lease.Holds(r.Context()) {
				return &e.known.login, nil
			}
			u, fingerprint, err := k.user(r.Context(), e.id)
			switch {
			case err == nil && u.Active && u.Name == form && u.Epoch == e.epoch && fingerprint == e.fingerprint:
				login, err := k.login(r.Context(), u)
				if err != nil {
					return nil, err
				}
				lease := u.LeaseOf(k.store)
				found := &known{login: authn.SharedLogin{Login: login}, lease: lease}
				if lease != nil && k.opts.User == nil {
					e.known = found
					k.update(at, e)
				}
				return &found.login, nil
			case err != nil && !errors.Is(err, storage.ErrNotFound):
				return nil, err
			}
			k.forget(at)
		}
		f, first := k.join(c)
		if first {
			return k.first(r, name, password, c, f)
		}
		select {
		case <-f.done:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		if !f.ok { // a failure is nobody else's
			return k.alone(r, name, password)
		}
	}
}

// first checks the password and remembers it where it is right.
func (k *cached) first(r *http.Request, name, password string, c check, f *flight) (*authn.SharedLogin, error) {
	began := k.elapsed.Now()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.flights, c)
		close(f.done)
	}()
	login, u, err := k.Checker.check(r, name, password)
	if err != nil {
		return nil, err
	}
	k.put(c.at, entry{password: c.secret, id: u.ID, fingerprint: u.Password.Fingerprint(), epoch: u.Epoch, ends: began + k.ttl})
	f.ok = true
	return &authn.SharedLogin{Login: login}, nil
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

// sourceOf is authn.SourceOf without its text.
func sourceOf(proxies authn.TrustedProxies, r *http.Request) netip.Addr {
	a := proxies.ClientAddr(r)
	if !a.Is4() {
		p, _ := a.Prefix(64) // of no address it is none
		a = p.Addr()
	}
	return a
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

// join returns the flight of a check, and whether it is the caller's to make.
func (k *cached) join(c check) (f *flight, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, running := k.flights[c]
	if !running {
		f = &flight{done: make(chan struct{})}
		k.flights[c] = f
	}
	return f, !running
}

// get takes the entry of a place away where it is not of this password, in the same
// step: of many guesses at once one can look at it.
func (k *cached) get(c check, now time.Duration) (entry, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[c.at]
	if ok && (e.password != c.secret || now >= e.ends) {
		delete(k.entries, c.at)
		return entry{}, false
	}
	return e, ok
}

// update replaces an entry that is still there, for the same password and time.
func (k *cached) update(at place, e entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if is, ok := k.entries[at]; ok && is.password == e.password && is.ends == e.ends {
		k.entries[at] = e
	}
}

func (k *cached) forget(at place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.entries, at)
}

func (k *cached) put(at place, e entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, again := k.entries[at]; !again && len(k.entries) >= k.max {
		k.makeRoom()
	}
	k.entries[at] = e
}

// makeRoom looks at a few entries and forgets those that have expired, or else one
// of them: a verified password that is forgotten is verified again.
func (k *cached) makeRoom() {
	const look = 8
	now, looked := k.elapsed.Now(), 0
	var last place
	for at, e := range k.entries {
		if last = at; now >= e.ends {
			delete(k.entries, at)
		}
		if looked++; looked == look {
			break
		}
	}
	if len(k.entries) >= k.max {
		delete(k.entries, last)
	}
}
