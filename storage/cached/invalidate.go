package cached

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/vestibule-auth/vestibule/storage"
)

// Kind is what a digest is the digest of. Equal digests of two kinds are two keys.
type Kind uint8

const (
	StaticTokens  Kind = iota
	Credentials        // storage.Credential, of whatever purpose
	Sessions           // storage.Session
	AccessTokens       // storage.AccessToken
	Standings          // Blocklist.TokenStatusOf, by the token's JTI
	UserStandings      // Blocklist.TokenStatusWithUser, by the token's JTI
	Blocks             // storage.BlockKey: a name that standings and access tokens hang on
	LiveUsers          // LiveUser, by the digest of the account's ID
	Permissions        // SubjectPermissions, by the digest of the subject
	kinds
)

// Key names a record.
type Key struct {
	Kind   Kind
	Digest storage.Digest
}

// Invalidator is how a cache is told what has changed. A Store is one; an application
// calls its methods for changes that went around the Store, and for messages of other
// processes (Change.Apply). Each method returns when the change holds: no lookup that
// begins afterwards is answered by what was read before.
type Invalidator interface {
	// InvalidateKey forgets one record, or what hangs on one entry of the blocklist.
	InvalidateKey(k Key)
	// InvalidateSubject forgets everything of a subject, of all schemes.
	InvalidateSubject(subject string)
	// FlushAll forgets everything.
	FlushAll()
	// Bypass, when on, sends every lookup to the store and keeps nothing, until it is
	// off: for when messages are lost. Nothing from before survives it.
	Bypass(on bool)
}

var _ Invalidator = (*Store)(nil)

// Change is one thing that changed: a key, or a subject where it is not "", or
// everything.
type Change struct {
	Key     Key
	Subject string
	All     bool
}

// Apply tells i.
func (c Change) Apply(i Invalidator) {
	switch {
	case c.All:
		i.FlushAll()
	case c.Subject != "":
		i.InvalidateSubject(c.Subject)
	default:
		i.InvalidateKey(c.Key)
	}
}

// MarshalText writes c as a message: "all", "subject <id>", or "key <kind> <hex>". It
// holds no secret: a digest is that of a random one.
func (c Change) MarshalText() ([]byte, error) {
	switch {
	case c.All:
		return []byte("all"), nil
	case c.Subject != "":
		return []byte("subject " + c.Subject), nil
	}
	return fmt.Appendf(nil, "key %d %x", c.Key.Kind, c.Key.Digest[:]), nil
}

// UnmarshalText reads what MarshalText wrote. What it cannot read is an error, and
// better answered with FlushAll than with nothing.
func (c *Change) UnmarshalText(text []byte) error {
	word, rest, _ := strings.Cut(string(text), " ")
	var got Change
	switch {
	case word == "all" && rest == "":
		got.All = true
	case word == "subject" && rest != "":
		got.Subject = rest
	case word == "key" && len(rest) == 2+2*len(got.Key.Digest) && rest[1] == ' ' && rest[0] >= '0' && rest[0] < '0'+byte(kinds):
		got.Key.Kind = Kind(rest[0] - '0')
		if _, err := hex.Decode(got.Key.Digest[:], []byte(rest[2:])); err != nil {
			return errMessage
		}
	default:
		return errMessage
	}
	*c = got
	return nil
}

var errMessage = errors.New("cached: malformed message of a change")

// stripes is how many counters all names share: two names of one counter are
// invalidated together, which costs a lookup and harms nothing. Counter 0 is nobody's
// and never moves.
const stripes = 1 << 15

func (s *Store) stripeOfKey(k *Key) uint16 {
	return stripe(binary.LittleEndian.Uint32(k.Digest[4:]) + uint32(k.Kind)*0x9e3779b1)
}

func (s *Store) stripeOfBlock(k storage.BlockKey) uint16 {
	if k.IsZero() {
		return 0
	}
	return s.stripeOfKey(&Key{Blocks, storage.Digest(k)})
}

// stripeOfSubject is seeded, so that nobody can choose an ID that shares a counter.
func (s *Store) stripeOfSubject(subject string) uint16 {
	if subject == "" {
		return 0
	}
	return stripe(uint32(maphash.String(s.seed, subject)))
}

func stripe(hash uint32) uint16 { return uint16(max(hash%stripes, 1)) }

// raise notes an invalidation. What was read before it has a smaller number.
func (s *Store) raise(i uint16) {
	for n := s.seq.Add(1); ; {
		old := s.stripes[i].Load()
		if old >= n || s.stripes[i].CompareAndSwap(old, n) {
			return
		}
	}
}

// InvalidateKey implements Invalidator. For a kind that there is not it forgets
// everything.
func (s *Store) InvalidateKey(k Key) {
	if k.Kind >= kinds {
		s.FlushAll()
		return
	}
	s.raise(s.stripeOfKey(&k))
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.drop(&k)
	sh.calls.Forget(k)
}

// InvalidateSubject implements Invalidator. It takes the same time however much there is
// of the subject.
func (s *Store) InvalidateSubject(subject string) { s.raise(s.stripeOfSubject(subject)) }

// FlushAll implements Invalidator.
func (s *Store) FlushAll() {
	for n := s.seq.Add(1); ; {
		old := s.flushed.Load()
		if old >= n || s.flushed.CompareAndSwap(old, n) {
			break
		}
	}
	for i := range s.shards {
		s.shards[i].clear()
	}
}

// Bypass implements Invalidator.
func (s *Store) Bypass(on bool) {
	if on {
		s.bypass.Store(true)
	}
	s.FlushAll()
	if !on {
		s.bypass.Store(false)
	}
}

// pending is what a transaction has changed so far.
type pending struct {
	mu    sync.Mutex
	list  []Change
	ended bool
}

type pendingKey struct{ *Store }

// open reports whether changes are still noted in p.
func (p *pending) open() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.ended
}

// InTx implements storage.Transactor. What fn changes is forgotten when the transaction
// has ended, whichever way; what fn reads comes from the store.
func (s *Store) InTx(ctx context.Context, fn func(context.Context) error) error {
	if s.base.InTransaction(ctx) {
		if !s.pending(ctx).open() {
			return errUntracked
		}
		return s.base.InTx(ctx, fn)
	}
	ctx, done := s.Track(ctx)
	defer done()
	return s.base.InTx(ctx, fn)
}

// Track is InTx for a transaction that the application began itself, such as one of
// gormstore's WithTx. It returns a context for the calls of the Store that belong to the
// transaction, and done, which the application calls after the transaction has ended,
// also where it was rolled back. Until then the changes do not hold in the cache. A call
// that changes something in a transaction which is not tracked is an error.
func (s *Store) Track(ctx context.Context) (tracked context.Context, done func()) {
	p := &pending{}
	return context.WithValue(ctx, pendingKey{s}, p), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.list {
			c.Apply(s)
		}
		p.list, p.ended = nil, true
	}
}

func (s *Store) pending(ctx context.Context) *pending {
	p, _ := ctx.Value(pendingKey{s}).(*pending)
	return p
}

var errUntracked = errors.New("cached: a change in a transaction that the cache does not know of: use the Store's InTx, or Track")

// change runs f, which may end what the changes name. They hold when it returns, or when
// the transaction that ctx carries has ended; also where f fails, since what became of it
// is unknown then, or somebody else was first and told nobody.
func (s *Store) change(ctx context.Context, f func(context.Context) error, changes ...Change) error {
	if err := s.later(ctx, changes); err != nil {
		return err
	}
	defer s.apply(ctx, changes)
	if !s.base.InTransaction(ctx) { // what a hook of the store changes holds when the change does
		tracked, done := s.Track(ctx)
		defer done()
		ctx = tracked
	}
	if s.tell == nil {
		return f(ctx)
	}
	tellToo := func(ctx context.Context) error {
		if err := f(ctx); err != nil {
			return err
		}
		for _, c := range changes {
			if err := s.told(ctx, c); err != nil {
				return fmt.Errorf("cached: other processes could not be told: %w", err)
			}
		}
		return nil
	}
	if s.base.InTransaction(ctx) {
		return tellToo(ctx)
	}
	return s.base.InTx(ctx, tellToo)
}

// renew is change for what ends nothing elsewhere: new records, and notes of a use.
func (s *Store) renew(ctx context.Context, f func(context.Context) error, changes ...Change) error {
	if err := s.later(ctx, changes); err != nil {
		return err
	}
	defer s.apply(ctx, changes)
	return f(ctx)
}

// later notes changes for the end of ctx's transaction, if there is one.
func (s *Store) later(ctx context.Context, changes []Change) error {
	if !s.base.InTransaction(ctx) {
		return nil
	}
	p := s.pending(ctx)
	if p == nil {
		return errUntracked
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended { // it was another transaction
		return errUntracked
	}
	p.list = append(p.list, changes...)
	return nil
}

// apply makes changes hold, unless ctx's transaction does at its end. A transaction that
// has ended has no later.
func (s *Store) apply(ctx context.Context, changes []Change) {
	if s.base.InTransaction(ctx) && s.pending(ctx).open() {
		return
	}
	for _, c := range changes {
		c.Apply(s)
	}
}
