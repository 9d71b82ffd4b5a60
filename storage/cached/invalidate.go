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

// Kind is the kind of record that a digest identifies. Equal digests of two kinds are different
// keys.
type Kind uint8

const (
	StaticTokens  Kind = iota
	Credentials        // storage.Credential, of all purposes
	Sessions           // storage.Session
	AccessTokens       // storage.AccessToken
	Standings          // Blocklist.TokenStatusOf, by the token's JTI
	UserStandings      // Blocklist.TokenStatusWithUser, by the token's JTI
	Blocks             // storage.BlockKey: a name on which standings and access tokens depend
	LiveUsers          // LiveUser, by the digest of the account's ID
	Permissions        // SubjectPermissions, by the digest of the subject
	kinds
)

// Key identifies a cached record.
type Key struct {
	Kind   Kind
	Digest storage.Digest
}

// Invalidator removes entries from a cache after changes that the cache does not notice. [Store]
// and [Parts] implement it. Call its methods for changes that bypass the Store and, with
// Change.Apply, for messages from other processes. When a method returns, no lookup that begins
// afterwards uses data that was read before.
type Invalidator interface {
	// InvalidateKey removes one record, or all records that depend on one entry of the blocklist.
	InvalidateKey(k Key)
	// InvalidateSubject removes all records of a subject, of all schemes.
	InvalidateSubject(subject string)
	// FlushAll removes everything.
	FlushAll()
	// Bypass(true) sends every lookup to the store and caches nothing, until Bypass(false). Use it
	// while messages from other processes may be lost. Both calls remove everything.
	Bypass(on bool)
}

var _ Invalidator = (*Store)(nil)

// Change describes a change: everything if All is true, otherwise Subject if that is not "",
// otherwise Key.
type Change struct {
	Key     Key
	Subject string
	All     bool
}

// Apply removes from i what the change affects.
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

// MarshalText encodes c as a message: "all", "subject <id>", or "key <kind> <hex>". The message
// contains no secret, because the digests are digests of random texts.
func (c Change) MarshalText() ([]byte, error) {
	switch {
	case c.All:
		return []byte("all"), nil
	case c.Subject != "":
		return []byte("subject " + c.Subject), nil
	}
	return fmt.Appendf(nil, "key %d %x", c.Key.Kind, c.Key.Digest[:]), nil
}

// UnmarshalText decodes a message of MarshalText. It returns an error for any other text. If it
// does, call FlushAll instead of ignoring the message.
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

var errMessage = errors.New("cached: Change.UnmarshalText: malformed message (all, subject ID, or key KIND HEX)")

// stripes is the number of counters that all names share. Names with the same counter are
// invalidated together, which only causes extra lookups. Counter 0 belongs to no name and is never
// raised.
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

// stripeOfSubject uses a seed, so that nobody can choose an ID that shares a counter with another
// one.
func (s *Store) stripeOfSubject(subject string) uint16 {
	if subject == "" {
		return 0
	}
	return stripe(uint32(maphash.String(s.seed, subject)))
}

func stripe(hash uint32) uint16 { return uint16(max(hash%stripes, 1)) }

// raise records an invalidation. Data that was read before it has a smaller number.
func (s *Store) raise(i uint16) {
	for n := s.seq.Add(1); ; {
		old := s.stripes[i].Load()
		if old >= n || s.stripes[i].CompareAndSwap(old, n) {
			return
		}
	}
}

// InvalidateKey implements [Invalidator]. If the kind is unknown, it removes everything.
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

// InvalidateSubject implements [Invalidator]. It takes constant time, however many records the
// subject has.
func (s *Store) InvalidateSubject(subject string) { s.raise(s.stripeOfSubject(subject)) }

// FlushAll implements [Invalidator].
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

// Bypass implements [Invalidator].
func (s *Store) Bypass(on bool) {
	if on {
		s.bypass.Store(true)
	}
	s.FlushAll()
	if !on {
		s.bypass.Store(false)
	}
}

// pending collects the changes of a transaction.
type pending struct {
	mu    sync.Mutex
	list  []Change
	ended bool
}

type pendingKey struct{ *Store }

// open reports whether p still accepts changes.
func (p *pending) open() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.ended
}

// InTx implements [storage.Transactor]. When the transaction has been committed or rolled back,
// everything that fn changed is removed from the cache. Lookups in fn read the store.
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

// Track prepares a transaction that the application began itself, such as one for gormstore's
// WithTx. It returns a context for the calls of the Store in the transaction, and done. Call done
// after the transaction was committed or rolled back; until then the cache does not reflect the
// changes. A call that changes something in a transaction that is not tracked returns an error. For
// other transactions use [Store.InTx].
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

var errUntracked = errors.New("cached: change in a transaction that is not tracked (use Store.InTx or Store.Track)")

// change runs f, which may invalidate what the changes name. They are applied when it returns or,
// in a transaction, when the transaction ends. They are applied even if f fails, because its effect
// is unknown then.
func (s *Store) change(ctx context.Context, f func(context.Context) error, changes ...Change) error {
	if err := s.later(ctx, changes); err != nil {
		return err
	}
	defer s.apply(ctx, changes)
	if !s.base.InTransaction(ctx) { // changes of the store's hooks take effect with this change
		tracked, done := s.Track(ctx)
		defer done()
		ctx = tracked
	}
	if s.tell == nil {
		return f(ctx)
	}
	runAndTell := func(ctx context.Context) error {
		if err := f(ctx); err != nil {
			return err
		}
		for _, c := range changes {
			if err := s.callTell(ctx, c); err != nil {
				return fmt.Errorf("cached: Options.Tell: %w", err)
			}
		}
		return nil
	}
	if s.base.InTransaction(ctx) {
		return runAndTell(ctx)
	}
	return s.base.InTx(ctx, runAndTell)
}

// renew is change for changes that revoke nothing in other processes: new records and recorded
// uses.
func (s *Store) renew(ctx context.Context, f func(context.Context) error, changes ...Change) error {
	if err := s.later(ctx, changes); err != nil {
		return err
	}
	defer s.apply(ctx, changes)
	return f(ctx)
}

// later collects changes until the end of ctx's transaction, if there is one.
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
	if p.ended { // ctx belongs to an earlier transaction
		return errUntracked
	}
	p.list = append(p.list, changes...)
	return nil
}

// apply applies changes, unless ctx's transaction does so at its end. If that transaction has
// already ended, apply applies them itself.
func (s *Store) apply(ctx context.Context, changes []Change) {
	if s.base.InTransaction(ctx) && s.pending(ctx).open() {
		return
	}
	for _, c := range changes {
		c.Apply(s)
	}
}
