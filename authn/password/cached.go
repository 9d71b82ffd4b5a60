package password

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// MaxCacheTTL is the longest that a verified password is remembered.
const MaxCacheTTL = time.Minute

// CacheOptions change Cached; nil is fine.
type CacheOptions struct {
	// TTL is how long a verified password is remembered; 0 is 30 seconds, and more
	// than MaxCacheTTL is refused.
	TTL time.Duration
	// MaxEntries bounds the memory; 0 is 10,000, about 2 MB.
	MaxEntries int
}

// Cached returns a checker that remembers verified passwords, for Basic, where
// every request carries one (RULES T6). A hit costs no hash and no unit of a
// limit, but it reads the account each time: a disabled account, a new password
// and a log-out-everywhere hold at once. A failure is never remembered, and
// neither a name nor a password is kept, only MACs under a key of this process.
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
		o.TTL = 30 * time.Second
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 10_000
	}
	if c == nil || o.TTL < 0 || o.TTL > MaxCacheTTL || o.MaxEntries < 0 {
		return nil, errors.New("password: Cached wants a checker, a TTL of a minute at most, and a number of entries")
	}
	k := &cached{Checker: c, key: new([32]byte), ttl: o.TTL, max: o.MaxEntries, entries: make(map[mac]entry)}
	_, _ = rand.Read(k.key[:]) // never fails; see crypto/rand
	return k, nil
}

type mac [sha256.Size]byte

// entry is bound to what the account was when the password was verified.
type entry struct {
	password mac
	id       string
	hash     mac // of the stored hash
	epoch    int64
	expires  time.Time
}

type cached struct {
	*Checker
	key *[32]byte // behind a pointer, so that it is not printed
	ttl time.Duration
	max int

	mu      sync.Mutex
	entries map[mac]entry
}

// CheckPassword implements authn.PasswordChecker.
func (k *cached) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	if len(password) > MaxLength || len(name) > MaxLength {
		return k.Checker.CheckPassword(r, name, password)
	}
	form, err := k.canonical(name)
	if err != nil {
		return k.Checker.CheckPassword(r, name, password)
	}
	m := k.mac(form, authn.SourceOf(authn.TrustedProxies{}.ClientAddr(r)))
	secret := k.mac(form, password)
	if e, ok := k.get(m, secret); ok {
		u, err := k.store.UserByID(r.Context(), e.id)
		switch {
		case err == nil && u.Active && u.Name == form && u.Epoch == e.epoch && k.mac("", string(u.Password)) == e.hash:
			return k.login(r.Context(), u)
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return authn.Login{}, err
		}
		k.forget(m)
	}
	login, u, err := k.check(r, name, password)
	if err == nil {
		k.put(m, entry{secret, u.ID, k.mac("", string(u.Password)), u.Epoch, k.opts.Clock().Add(k.ttl)})
	}
	return login, err
}

// mac is over both texts with the length of the first, so that no two pairs are
// one.
func (k *cached) mac(a, b string) (m mac) {
	h := hmac.New(sha256.New, k.key[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(a))))
	h.Write([]byte(a))
	h.Write([]byte(b))
	h.Sum(m[:0])
	return m
}

// get takes the entry of m away where it is not of this password, in the same
// step: of many guesses at once one can look at it.
func (k *cached) get(m, secret mac) (entry, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[m]
	if ok && (e.password != secret || !k.opts.Clock().Before(e.expires)) {
		delete(k.entries, m)
		return entry{}, false
	}
	return e, ok
}

func (k *cached) forget(m mac) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.entries, m)
}

func (k *cached) put(m mac, e entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, again := k.entries[m]; !again && len(k.entries) >= k.max {
		k.makeRoom()
	}
	k.entries[m] = e
}

// makeRoom looks at a few entries and forgets those that have expired, or else one
// of them: a verified password that is forgotten is verified again.
func (k *cached) makeRoom() {
	const look = 8
	now, looked := k.opts.Clock(), 0
	var last mac
	for m, e := range k.entries {
		if last = m; !now.Before(e.expires) {
			delete(k.entries, m)
		}
		if looked++; looked == look {
			break
		}
	}
	if len(k.entries) >= k.max {
		delete(k.entries, last)
	}
}
