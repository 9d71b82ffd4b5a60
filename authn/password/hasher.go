// Package password hashes and checks passwords.
//
// A [Hasher] creates argon2id hashes. It also verifies hashes of other systems: bcrypt, PBKDF2,
// scrypt and argon2, in PHC format and in Django's. It limits the number of concurrent hash
// computations, because unlimited logins would use up the memory and all cores.
//
// A [Checker] implements [authn.PasswordChecker] for a store of accounts. It counts the attempt,
// computes the same number of hashes for known and unknown names, and returns the same error for
// every failure. It also registers accounts and changes passwords. For Basic, wrap it with
// [Cached].
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
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// Params are the cost parameters of argon2id (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams returns OWASP's recommendation for limited memory: 19 MiB, two passes, one thread.
func DefaultParams() Params { return Params{Memory: 19 * 1024, Time: 2, Threads: 1} }

const (
	saltLen = 16
	keyLen  = 32
)

// HasherOptions configure a [Hasher]. A nil *HasherOptions means all defaults.
type HasherOptions struct {
	// Params are the parameters of new hashes; the zero value means DefaultParams. The minimum is
	// OWASP's list (KiB and passes: 47104 and 1, 19456 and 2, 12288 and 3, 9216 and 4, 7168 and 5).
	// The maximum is the highest cost that Verify accepts.
	Params Params
	// NewFormat is the format of new hashes. The zero value means argon2id with Params. Use Bcrypt
	// while an old program reads the same table.
	NewFormat Format
	// Slots is the number of concurrent hash computations; 0 means half of the cores, at least one.
	// Each uses Params.Memory, or the memory that the stored hash requires, at most 256 MiB.
	Slots int
	// MaxWait is how long a login waits for a slot before it gets 503; 0 means one second.
	MaxWait time.Duration
	// MaxWaiting is the maximum number of waiting logins; 0 means 256. One network (IPv4 /24 or
	// IPv6 /48) can have a quarter of them. Slots are shared fairly among accounts and networks; a
	// wide network (IPv4 /16, IPv6 /32) gets 8 times the share of a network. Half of the slots are
	// reserved for logins of known callers (authn.AccountAttempt).
	MaxWaiting int
	// Sink receives each wait for a slot and each computed hash, for metrics. Nil means none.
	Sink *observe.Sink
}

// Hasher creates and verifies hashes. Use one Hasher for the whole process, because its slots limit
// all its users together. It is safe for concurrent use.
type Hasher struct {
	params  Params
	format  Format
	queue   *queue
	hashed  atomic.Int64
	slowest slowest
	sink    *observe.Sink        // nil: none
	onHash  func() (done func()) // set by tests only
}

// NewHasher returns a hasher. It returns an error if an option is out of range.
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
		return nil, fmt.Errorf("password: NewHasher: Slots %d, MaxWait %v or MaxWaiting %d is negative (at least 0)", o.Slots, o.MaxWait, o.MaxWaiting)
	}
	if err := o.Params.check(); err != nil {
		return nil, err
	}
	if err := o.NewFormat.check(); err != nil {
		return nil, err
	}
	return &Hasher{params: o.Params, format: o.NewFormat, queue: newQueue(o.Slots, o.MaxWait, o.MaxWaiting), sink: o.Sink}, nil
}

// check returns an error for parameters below OWASP's list (m=47104,t=1; 19456,2; 12288,3; 9216,4;
// 7168,5) or beyond the limits of Verify.
func (p Params) check() error {
	least := map[uint32]uint32{1: 47104, 2: 19456, 3: 12288, 4: 9216}[p.Time]
	if p.Time >= 5 {
		least = 7168
	}
	switch {
	case p.Time == 0 || p.Threads == 0:
		return fmt.Errorf("password: NewHasher: argon2id with %d passes and %d threads (at least 1 each)", p.Time, p.Threads)
	case p.Memory < least:
		return fmt.Errorf("password: NewHasher: argon2id with %d passes requires at least %d KiB, not %d", p.Time, least, p.Memory)
	case p.Memory > maxMemory || p.Time > maxArgonTime || p.Threads > maxThreads || p.Memory*p.Time > maxArgonWork:
		return fmt.Errorf("password: NewHasher: argon2id with %d KiB, %d passes, %d threads exceeds the limits of Verify", p.Memory, p.Time, p.Threads)
	}
	return nil
}

// Hash returns a new hash of password. source identifies where the request comes from, for the fair
// sharing of slots. It can be any text, including "". An address or a prefix counts as its network
// (IPv4 /24 or IPv6 /48).
//
// It returns an *authn.Unavailable if the queue is full or the wait was too long. If ctx ends
// during the wait, it returns ctx's error. With a bcrypt NewFormat, a password of more than 72
// bytes is an error.
func (h *Hasher) Hash(ctx context.Context, source, password string) (storage.PasswordHash, error) {
	return h.hashFor(ctx, caller{network: networkOf(source)}, password)
}

func (h *Hasher) hashFor(ctx context.Context, a caller, password string) (storage.PasswordHash, error) {
	release, err := h.enter(ctx, a)
	if err != nil {
		return "", err
	}
	defer release()
	defer h.count(ctx, h.format.algorithm())()
	if h.format.version != "" {
		text, err := h.format.hash(password)
		return storage.PasswordHash(text), err
	}
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // cannot fail; see crypto/rand
	b64 := base64.RawStdEncoding
	return storage.PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.Memory, h.params.Time, h.params.Threads, b64.EncodeToString(salt), b64.EncodeToString(h.argon2id(password, salt)))), nil
}

func (h *Hasher) argon2id(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, h.params.Time, h.params.Memory, h.params.Threads, keyLen)
}

// Verify reports whether password matches encoded. If so, it also reports whether the hash is
// outdated, so that a hash with the current parameters should replace it.
//
// It computes exactly one hash, for every value of encoded. An empty, unusable, unknown, malformed
// or too expensive hash matches nothing, and takes the time of the slowest hash that was verified
// so far. It returns the same errors as [Hasher.Hash].
//
// A hash is too expensive if it needs more than 256 MiB of memory, more than 4,000,000 iterations
// of PBKDF2 or a bcrypt cost above 14. The same is true of argon2 if memory times passes is above
// 512 MiB, and of scrypt if memory times p is above 256 MiB. A password of more than 72 bytes, or
// with NUL, matches no plain bcrypt hash, because bcrypt ignores part of it.
func (h *Hasher) Verify(ctx context.Context, source string, encoded storage.PasswordHash, password string) (ok, outdated bool, err error) {
	release, err := h.enter(ctx, caller{network: networkOf(source)})
	if err != nil {
		return false, false, err
	}
	defer release()
	ok, outdated = h.verify(ctx, encoded, password)
	return ok, outdated, nil
}

// verify does the work of Verify. The caller holds a slot.
func (h *Hasher) verify(ctx context.Context, encoded storage.PasswordHash, password string) (ok, outdated bool) {
	v, known := parse(string(encoded))
	defer h.count(ctx, algorithmOf(string(encoded), known))()
	if !known {
		h.dummy(password)
		return false, false
	}
	h.slowest.note(v)
	ok = v.verify(password)
	return ok, ok && !v.current(h.format, h.params)
}

// Usable reports whether any password could match the hash. If not, the account logs in by other means, or
// not at all.
func Usable(encoded storage.PasswordHash) bool {
	_, known := parse(string(encoded))
	return known
}

// Hashed returns the number of computed hashes, for metrics and tests.
func (h *Hasher) Hashed() int64 { return h.hashed.Load() }

// errBusy returns the error for a full queue.
func errBusy(wait time.Duration) error {
	return &authn.Unavailable{Reason: "password: too many concurrent hashes", RetryAfter: wait}
}
