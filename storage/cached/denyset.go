package cached

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/recent"
	"github.com/vestibule-auth/vestibule/storage"
)

// DenySet configures a set of everything that was revoked recently, in the memory of each process.
// A signed access token is accepted without a query if its subject, client, family and ID are not
// in the set, even if this process receives it for the first time. A token with one of these in the
// set is checked in the store. Schemes that sign access tokens use the set automatically: package
// jwt, and package oauth2 with SignedAccess.
//
// The set holds what was revoked, disabled, deleted or restricted recently: within the longest
// lifetime of a token plus storage.RevocationMargin (10 minutes). It also holds everything that is
// blocked for longer. A transaction that revokes must commit within these 10 minutes. [Store.Run]
// reads the set from the database and keeps it current with the messages of the Courier. Without a
// courier it reads the set again, three times in each TTL. Whenever the set may be incomplete,
// tokens are checked in the store.
//
// The set does not notice changes that bypass the library and its triggers, such as SQL on your own
// account table without [gormstore.Store.MigrateTriggers]. Call SetActive or BumpEpoch for such
// changes. It also does not notice a family that SQL deletes while the process is not running. With
// a courier, roles of tokens are only used if the account table has triggers.
//
// [gormstore.Store.MigrateTriggers]: https://pkg.go.dev/github.com/vestibule-auth/vestibule/storage/gormstore#Store.MigrateTriggers
type DenySet struct {
	// Lifetime is the longest lifetime of access tokens that this process issues: a second to 24
	// hours; 0 means 5 minutes. The database keeps the lifetimes of all processes. A token that
	// lives longer than the longest recorded lifetime is rejected. To issue tokens with a longer
	// lifetime, first raise this value in all processes. You can lower the two values in any order.
	//
	// Set more than 5 minutes only if every verifier of these tokens has the set. A service that
	// verifies tokens only with the published keys accepts a revoked token until it expires.
	Lifetime time.Duration
	// Max limits the number of entries; 0 means 1,000,000. An entry takes about 40 bytes. If there are
	// more, the set is emptied and not used, and tokens are checked in the store. Entries are revoked
	// families, and accounts that logged out everywhere, changed their password, or were changed.
	Max int
	// ClockOffset is the largest accepted difference between the clocks of this process and the
	// database: up to a minute; 0 means 5 seconds. The clocks are compared every 10 seconds. If
	// they differ more, the set is not used: a process with a slow clock would accept expired
	// tokens, and the set no longer holds their revocations.
	ClockOffset time.Duration
}

const (
	denyPoll = 10 * time.Second // with a courier
	denyHold = time.Minute      // how long the result of a poll counts
	// denyRest is how many times as long as the last reading of the set the next one waits.
	denyRest = 4
	maxRest  = 10 * time.Second
	// denyFull is the pause after the set was full.
	denyFull = time.Minute
)

// denied is the state of the deny set.
//
// A check reads asked and ready, then the leases, then the names, then asked again. So what an Add
// that has returned has put in is found, and names that Clear removed are not missed: whoever clears
// has raised asked before. A change is acknowledged, or a lease is granted for it, after Add.
type denied struct {
	s        *Store
	source   storage.Revocations
	lifetime time.Duration
	offset   time.Duration
	limit    int
	set      *recent.Set
	wake     chan struct{}

	// loaded is when the store was read last. It is read again before any name is forgotten: the
	// application may have blocked a name for longer than tokens live. Only run uses it.
	loaded time.Duration

	asked    atomic.Uint64 // raised when the set may lack something
	ready    atomic.Uint64 // the value of asked for which the set is complete
	checked  elapsed.Lease // the clock and the lifetimes were compared recently
	accepted atomic.Int64  // the longest lifetime, in nanoseconds
	state    atomic.Pointer[denyState]
}

// denyState is why the set is not used; "" means that it is.
type denyState struct {
	why string
	err error
}

func newDenied(s *Store, o *DenySet) (*denied, error) {
	if o == nil {
		return nil, nil
	}
	source, ok := s.base.(storage.Revocations)
	if _, parts := s.base.(*partial); parts || !ok {
		return nil, errors.New("cached: New: DenySet requires one store that implements storage.Revocations")
	}
	d := &denied{s: s, source: source, lifetime: o.Lifetime, offset: o.ClockOffset, limit: o.Max, wake: make(chan struct{}, 1)}
	orElse(&d.lifetime, 5*time.Minute)
	orElse(&d.offset, 5*time.Second)
	orElse(&d.limit, 1_000_000)
	switch {
	case d.lifetime < time.Second || d.lifetime > storage.MaxTokenLifetime:
		return nil, fmt.Errorf("cached: New: DenySet.Lifetime %v out of range (1s to %v)", d.lifetime, storage.MaxTokenLifetime)
	case d.limit < 1:
		return nil, fmt.Errorf("cached: New: DenySet.Max %d out of range (at least 1)", d.limit)
	case d.offset < 0 || d.offset > time.Minute:
		return nil, fmt.Errorf("cached: New: DenySet.ClockOffset %v out of range (0 to 1m)", d.offset)
	}
	d.lifetime = (d.lifetime + time.Second - 1).Truncate(time.Second) // tokens have whole seconds
	d.set = recent.New(d.limit)
	d.asked.Store(1)
	d.accepted.Store(int64(storage.NoTokenLimit))
	d.state.Store(&denyState{why: "Run has not read it"})
	return d, nil
}

// epoch is the second of the set in which the Store was created, so that earlier seconds are not
// negative.
const epoch = 1 << 20

// second returns the second of the set that was an age ago.
func (d *denied) second(age time.Duration) uint32 {
	return uint32(max(epoch+int64((d.s.now()-age)/time.Second), 0))
}

// add adds a name that has just been revoked.
func (d *denied) add(k recent.Key) {
	if !d.set.Add(k, d.second(0)) {
		d.reload()
	}
}

func (d *denied) addSubject(subject string) {
	if d != nil && subject != "" {
		d.add(recent.KeyOf(d.s.seed, subject))
	}
}

func (d *denied) addBlock(k storage.Digest) {
	if d != nil {
		d.add(recent.KeyOfDigest(d.s.seed, (*[32]byte)(&k)))
	}
}

// reload makes the set unused until it has been read again. What is in it stays.
func (d *denied) reload() {
	if d == nil {
		return
	}
	d.asked.Add(1)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// usable reports whether the set is complete at an instant, and returns the value of asked that must
// still be the same after the names were read.
func (d *denied) usable(now elapsed.Instant) (asked uint64, ok bool) {
	asked = d.asked.Load()
	f := d.s.follow
	return asked, d.ready.Load() == asked && d.checked.Holds(now) && (f == nil || f.lease.Holds(now))
}

// unchanged reports whether none of a token's names is in the set. The caller has checked ctx.
func (d *denied) unchanged(t *storage.IssuedToken, now elapsed.Instant) bool {
	asked, ok := d.usable(now)
	if !ok || t.Lifetime <= 0 || int64(t.Lifetime) > d.accepted.Load() || !storage.BelongsTo(d.s.Space(), t.Subject) && t.Subject != "" {
		return false
	}
	if t.Subject != "" && d.set.Has(recent.KeyOf(d.s.seed, t.Subject)) {
		return false
	}
	if t.Client != "" {
		client := blockClient(t.Client)
		if d.set.Has(recent.KeyOfDigest(d.s.seed, (*[32]byte)(&client))) {
			return false
		}
	}
	for _, k := range [...]*storage.BlockKey{&t.Keys.JTI, &t.Keys.SID, &t.Keys.Subject} {
		if !k.IsZero() && d.set.Has(recent.KeyOfDigest(d.s.seed, (*[32]byte)(k))) {
			return false
		}
	}
	return d.asked.Load() == asked
}

// DenyState is the state of the deny set.
type DenyState struct {
	// Used reports that the set is used to accept tokens. If Used is false, Why is the reason. If
	// the reason is an error of the store, Err is that error.
	Used bool
	Why  string
	Err  error
	// Entries is the number of entries.
	Entries int
	// Longest is the longest lifetime of a token that is accepted; 0 if it is not known yet.
	Longest time.Duration
}

// DenySet returns the state of the deny set. Without one, all fields are zero.
func (s *Store) DenySet() (state DenyState) {
	d := s.denied
	if d == nil {
		return state
	}
	state.Entries = d.set.Len()
	if n := d.accepted.Load(); n != int64(storage.NoTokenLimit) {
		state.Longest = time.Duration(n)
	}
	now := *d.state.Load()
	if _, state.Used = d.usable(elapsed.Read()); state.Used {
		return state
	}
	if state.Why, state.Err = now.why, now.err; now.why == "" {
		state.Why = "no proof that every change has arrived"
	}
	return state
}

// TokenLifetime implements [storage.UnchangedTokens].
func (s *Store) TokenLifetime() (configured, accepted time.Duration) {
	if s.denied == nil {
		return 0, storage.NoTokenLimit
	}
	return s.denied.lifetime, time.Duration(s.denied.accepted.Load())
}

// TokenUnchanged implements [storage.UnchangedTokens].
func (s *Store) TokenUnchanged(ctx context.Context, t *storage.IssuedToken) bool {
	return s.unchangedToken(ctx, t, elapsed.Read()) && s.accountsTold()
}

func (s *Store) unchangedToken(ctx context.Context, t *storage.IssuedToken, now elapsed.Instant) bool {
	return s.denied != nil && s.mayKnow(ctx) && s.denied.unchanged(t, now)
}

// mayKnow reports whether a request can use the set: it must not in a transaction, which may have
// changed something. Options.Skip is about records.
func (s *Store) mayKnow(ctx context.Context) bool {
	return !s.bypass.Load() && !s.base.InTransaction(ctx)
}

// accountsTold reports whether changes of accounts reach the set, by whichever program.
func (s *Store) accountsTold() bool { return s.follow == nil || s.follow.accounts.Load() }
