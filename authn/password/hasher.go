// Package password hashes and checks passwords.
//
// A [Hasher] makes argon2id hashes, verifies those of other systems (bcrypt,
// PBKDF2, scrypt, argon2, in PHC form and in Django's form), and holds every hash
// computation behind a semaphore, since unbounded logins would take all memory
// and all cores from everything else. A [Checker] is the authn.PasswordChecker
// over a user store: it counts the attempt, hashes exactly once whatever the name,
// and gives one answer to every failure.
package password

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// Params are the cost of argon2id (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams returns OWASP's first choice: 19 MiB, two passes, one thread.
func DefaultParams() Params { return Params{Memory: 19 * 1024, Time: 2, Threads: 1} }

const (
	saltLen = 16
	keyLen  = 32
)

// HasherOptions change a Hasher; nil is fine.
type HasherOptions struct {
	// Params of new hashes; the zero value is DefaultParams. Refused is what is below
	// OWASP's list (KiB and passes: 47104 and 1, 19456 and 2, 12288 and 3, 9216 and
	// 4, 7168 and 5), and what Verify would not compute.
	Params Params
	// NewFormat of new hashes: argon2id with Params, or Bcrypt while an old program reads the
	// same table.
	NewFormat Format
	// Slots is how many hashes are computed at once; 0 is half of the cores, at
	// least one. Each takes Params.Memory, or what a stored hash asks for, 256 MiB
	// at most.
	Slots int
	// MaxWait is how long a login waits for a slot before it is told 503; 0 is one
	// second.
	MaxWait time.Duration
	// MaxWaiting is how many may wait at once; 0 is 256. One network (an IPv4 /24 or an
	// IPv6 /48) may hold a quarter of that. Slots are shared fairly by account and network, a
	// wide network (IPv4 /16, IPv6 /32) getting 8 where a network gets one, and half of them are reserved for logins of known callers (authn.AccountAttempt).
	MaxWaiting int
}

// Hasher makes and verifies hashes. All users of one process share one, so that
// its slots bound them together. It is safe for concurrent use.
type Hasher struct {
	params  Params
	format  Format
	queue   *queue
	hashed  atomic.Int64
	dearest dearest
	onHash  func() (done func()) // of tests; nil otherwise
}

// NewHasher returns a hasher.
func NewHasher(opts *HasherOptions) (*Hasher, error) {
	var o HasherOptions
	if opts != nil {
		o = *opts
	}
	if o.Params == (Params{}) {
		o.Params = DefaultParams()
	}
	if o.Slots == 0 {
		o.Slots = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if o.MaxWait == 0 {
		o.MaxWait = time.Second
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 256
	}
	if o.Slots < 0 || o.MaxWait < 0 || o.MaxWaiting < 0 {
		return nil, fmt.Errorf("password: slots %d, wait %v, waiting %d: none may be below 0", o.Slots, o.MaxWait, o.MaxWaiting)
	}
	if err := o.Params.check(); err != nil {
		return nil, err
	}
	if err := o.NewFormat.check(); err != nil {
		return nil, err
	}
	return &Hasher{params: o.Params, format: o.NewFormat, queue: newQueue(o.Slots, o.MaxWait, o.MaxWaiting)}, nil
}

// check holds new hashes to OWASP's list: m=47104,t=1 · 19456,2 · 12288,3 ·
// 9216,4 · 7168,5.
func (p Params) check() error {
	least := map[uint32]uint32{1: 47104, 2: 19456, 3: 12288, 4: 9216}[p.Time]
	if p.Time >= 5 {
		least = 7168
	}
	switch {
	case p.Time == 0 || p.Threads == 0:
		return fmt.Errorf("password: argon2id with %d passes and %d threads", p.Time, p.Threads)
	case p.Memory < least:
		return fmt.Errorf("password: argon2id with %d passes needs %d KiB at least, not %d", p.Time, least, p.Memory)
	case p.Memory > maxMemory || p.Time > maxArgonTime || p.Threads > maxThreads || p.Memory*p.Time > maxArgonWork:
		return fmt.Errorf("password: argon2id with %d KiB, %d passes, %d threads is more than Verify computes", p.Memory, p.Time, p.Threads)
	}
	return nil
}

// Hash returns a new hash of password. source names where the request comes from, for the queue's
// shares: an address or a prefix, which is counted by its network (an IPv4 /24 or IPv6 /48), or any
// other text. "" has a share too. An *authn.Unavailable says that the
// queue is full or that the wait was too long; an end of ctx while waiting is its
// own error. With a NewFormat of bcrypt a password of more than 72 bytes is an error.
func (h *Hasher) Hash(ctx context.Context, source, password string) (storage.PasswordHash, error) {
	return h.hashFor(ctx, asker{network: networkOf(source)}, password)
}

func (h *Hasher) hashFor(ctx context.Context, a asker, password string) (storage.PasswordHash, error) {
	release, err := h.queue.enter(ctx, a)
	if err != nil {
		return "", err
	}
	defer release()
	defer h.count()()
	if h.format.version != "" {
		text, err := h.format.hash(password)
		return storage.PasswordHash(text), err
	}
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails; see crypto/rand
	b64 := base64.RawStdEncoding
	return storage.PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.Memory, h.params.Time, h.params.Threads, b64.EncodeToString(salt), b64.EncodeToString(h.argon2id(password, salt)))), nil
}

func (h *Hasher) argon2id(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, h.params.Time, h.params.Memory, h.params.Threads, keyLen)
}

// Verify reports whether password is the one that encoded was made of, and if so
// whether the hash should be made anew with the present parameters. It computes
// exactly one hash, whatever encoded is: an empty, unusable, unknown or malformed
// one, and one that would cost too much, costs a hash of the dearest kind that was
// met so far and matches nothing. The error is that of Hash.
//
// Too much is more than 4,000,000 iterations of PBKDF2, cost 14 of bcrypt, 256 MiB
// of memory, 512 MiB times passes of argon2, or 256 MiB times p of scrypt. A
// password of more than 72 bytes or with NUL matches no plain bcrypt hash, since
// bcrypt does not look at all of it.
func (h *Hasher) Verify(ctx context.Context, source string, encoded storage.PasswordHash, password string) (ok, outdated bool, err error) {
	release, err := h.queue.enter(ctx, asker{network: networkOf(source)})
	if err != nil {
		return false, false, err
	}
	defer release()
	ok, outdated = h.verify(encoded, password)
	return ok, outdated, nil
}

// verify is Verify for a caller that holds a slot.
func (h *Hasher) verify(encoded storage.PasswordHash, password string) (ok, outdated bool) {
	defer h.count()()
	v, known := parse(string(encoded))
	if !known {
		h.dummy(password)
		return false, false
	}
	h.dearest.note(v)
	ok = v.verify(password)
	return ok, ok && !v.current(h.format, h.params)
}

// usable reports whether some password could match the hash.
func usable(encoded storage.PasswordHash) bool {
	_, known := parse(string(encoded))
	return known
}

// count notes that a hash is computed, until what it returns is called.
func (h *Hasher) count() (done func()) {
	h.hashed.Add(1)
	if h.onHash == nil {
		return func() {}
	}
	return h.onHash()
}

// Hashed returns how many hashes were computed: a counter for metrics, and for
// tests that every failure costs the same.
func (h *Hasher) Hashed() int64 { return h.hashed.Load() }

// errBusy is the fault of a full queue.
func errBusy(wait time.Duration) error {
	return &authn.Unavailable{Reason: "password: too many logins at once", RetryAfter: wait}
}
