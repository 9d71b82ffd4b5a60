// Package memory keeps everything in the memory of one process: for tests, for
// trying things out, and for small servers whose tokens may end with them. It
// implements every interface of package storage and is safe for concurrent use.
package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Options change a Store; nil is fine.
type Options struct {
	// Space is the name space of the store's subjects; see storage.Spaced. A store has one
	// table of accounts, so a name is only needed where several stores share an issuer or a
	// master key. CreateUser returns ErrInvalid for a
	// name that storage.CheckSpace refuses.
	Space string
	// Ended, if not nil, is called in each change that ends every credential of a subject, so
	// that records which are kept elsewhere go with it. It calls the store with the context
	// that it is given: the store is locked for any other.
	Ended storage.EndedFunc
	// UnusedClients is the age at which Prune removes OAuth 2.0 clients that registered themselves
	// and have no code, grant, consent, token or request; 0 is 30 days, storage.NoExpiry keeps them.
	// See storage.UnusedClientAge for which clients stay. Set NoExpiry if grants are in another store.
	UnusedClients time.Duration
	// Clock gives the microseconds of BumpEpoch and the times of claims; nil is
	// time.Now.
	Clock func() time.Time
}

// Store is an empty store when New returns it.
//
// A transaction holds the store for itself: calls with another context wait until
// it ends. What hashes passwords or asks other servers belongs outside of it.
type Store struct {
	now    func() time.Time
	space  string
	ended  storage.EndedFunc
	unused time.Duration // Options.UnusedClients

	mu     sync.RWMutex
	users  map[string]storage.User // by id
	names  map[string]string       // name to id
	epochs map[string]int64
	tokens map[string]storage.StaticToken // by subject
	digest map[storage.Digest]string      // to subject
	perms  map[string][]string            // of subjects
	groups map[string][]string            // of subjects
	grants map[string][]string            // of groups

	creds     map[storage.Digest]storage.Credential
	held      map[string]map[string]storage.Digest // credentials of subjects, by id
	sessions  map[storage.Digest]storage.Session
	seats     map[string]storage.Digest          // sessions by id
	seated    map[string]map[storage.Digest]bool // sessions of subjects
	families  map[string]storage.Family
	began     map[string]map[string]bool // families of subjects
	refreshes map[storage.Digest]refresh
	chain     map[string][]storage.Digest // refresh tokens of families, the newest last
	blocked   map[storage.BlockKey]int64  // until, in microseconds
	ending    map[int64][]storage.BlockKey
	replays   map[storage.BlockKey]time.Time // until
	signing   map[signingID]storage.SigningKey
	onetimes  map[storage.Digest]storage.OneTimeToken
	errands   map[string]map[storage.Digest]bool // one-time tokens of subjects
	clients   map[string]storage.Client
	codes     map[storage.Digest]storage.Code
	access    map[storage.Digest]storage.AccessToken
	accessIDs map[string]storage.Digest
	asked     map[storage.Digest]storage.AuthRequest
	polled    map[storage.Digest]storage.DeviceGrant
	typed     map[storage.MAC]storage.Digest // device grants by user code
	tries     map[storage.MAC]tries
	consents  map[consentID]storage.Consent
	sweeps    sweeps
}

var (
	_ storage.Complete = (*Store)(nil)
	_ storage.Spaced   = (*Store)(nil)
)

// New returns an empty store.
func New(opts *Options) *Store {
	s := &Store{
		now:    time.Now,
		users:  make(map[string]storage.User),
		names:  make(map[string]string),
		epochs: make(map[string]int64),
		tokens: make(map[string]storage.StaticToken),
		digest: make(map[storage.Digest]string),
		perms:  make(map[string][]string),
		groups: make(map[string][]string),
		grants: make(map[string][]string),

		creds:     make(map[storage.Digest]storage.Credential),
		held:      make(map[string]map[string]storage.Digest),
		sessions:  make(map[storage.Digest]storage.Session),
		seats:     make(map[string]storage.Digest),
		seated:    make(map[string]map[storage.Digest]bool),
		families:  make(map[string]storage.Family),
		began:     make(map[string]map[string]bool),
		refreshes: make(map[storage.Digest]refresh),
		chain:     make(map[string][]storage.Digest),
		blocked:   make(map[storage.BlockKey]int64),
		ending:    make(map[int64][]storage.BlockKey),
		replays:   make(map[storage.BlockKey]time.Time),
		signing:   make(map[signingID]storage.SigningKey),
		onetimes:  make(map[storage.Digest]storage.OneTimeToken),
		errands:   make(map[string]map[storage.Digest]bool),
		clients:   make(map[string]storage.Client),
		codes:     make(map[storage.Digest]storage.Code),
		access:    make(map[storage.Digest]storage.AccessToken),
		accessIDs: make(map[string]storage.Digest),
		asked:     make(map[storage.Digest]storage.AuthRequest),
		polled:    make(map[storage.Digest]storage.DeviceGrant),
		typed:     make(map[storage.MAC]storage.Digest),
		tries:     make(map[storage.MAC]tries),
		consents:  make(map[consentID]storage.Consent),
	}
	if opts != nil && opts.Clock != nil {
		s.now = opts.Clock
	}
	if opts != nil {
		s.space, s.ended, s.unused = opts.Space, opts.Ended, opts.UnusedClients
	}
	return s
}

// Space implements storage.Spaced: Options.Space.
func (s *Store) Space() string { return s.space }

// mine returns ErrInvalid unless subject can be a subject of this store's space.
func (s *Store) mine(subject string) error {
	if err := storage.CheckID("subject", subject); err != nil {
		return err
	}
	if !storage.BelongsTo(s.space, subject) {
		return fmt.Errorf("%w: the subject is not of the space %q", storage.ErrInvalid, s.space)
	}
	return nil
}

// Ping returns ctx's error: memory is always there.
func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

type txKey struct{ *Store }

// tx is a transaction: how to take back what it did.
type tx struct {
	undo    []func()
	endings []storage.Ending // that Options.Ended has not been called for
	ended   atomic.Bool
}

// errEnded answers a call with the context of a transaction that is over: it no
// longer has the store to itself.
var errEnded = errors.New("memory: the transaction has ended")

// InTx runs fn with the store to itself.
func (s *Store) InTx(ctx context.Context, fn func(context.Context) error) (err error) {
	if s.running(ctx) != nil {
		return fn(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := new(tx)
	done := false
	defer func() {
		t.ended.Store(true)
		if !done || err != nil {
			for i := len(t.undo) - 1; i >= 0; i-- {
				t.undo[i]()
			}
		}
	}()
	err = fn(context.WithValue(ctx, txKey{s}, t))
	if err == nil {
		err = ctx.Err()
	}
	done = true
	return err
}

func (s *Store) running(ctx context.Context) *tx {
	t, _ := ctx.Value(txKey{s}).(*tx)
	return t
}

// write runs f with the store to itself; f's changes go through put and drop.
func (s *Store) write(ctx context.Context, f func(*tx) error) error {
	if t := s.running(ctx); t != nil {
		if t.ended.Load() {
			return errEnded
		}
		return s.attempt(ctx, t, f)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := new(tx)
	defer t.ended.Store(true)
	return s.attempt(context.WithValue(ctx, txKey{s}, t), t, f)
}

// count is write for what reports how many records it changed; 0 if it fails.
func (s *Store) count(ctx context.Context, f func(*tx) int) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		n = f(t)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// attempt takes back f's changes if f, or the hook for what f ended, fails.
func (s *Store) attempt(ctx context.Context, t *tx, f func(*tx) error) error {
	before := len(t.undo)
	err := f(t)
	endings := t.endings
	t.endings = nil
	for _, e := range endings {
		if err == nil {
			err = s.ended.Call(ctx, e)
		}
	}
	if err != nil {
		for i := len(t.undo) - 1; i >= before; i-- {
			t.undo[i]()
		}
		t.undo = t.undo[:before]
	}
	return err
}

// read runs f beside other readers.
func (s *Store) read(ctx context.Context, f func() error) error {
	if t := s.running(ctx); t != nil {
		if t.ended.Load() {
			return errEnded
		}
		return f()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return f()
}

// put and drop change a map and note how to take it back.
func put[K comparable, V any](t *tx, m map[K]V, k K, v V) {
	old, had := m[k]
	t.undo = append(t.undo, func() {
		if had {
			m[k] = old
		} else {
			delete(m, k)
		}
	})
	m[k] = v
}

func drop[K comparable, V any](t *tx, m map[K]V, k K) {
	if old, had := m[k]; had {
		t.undo = append(t.undo, func() { m[k] = old })
		delete(m, k)
	}
}

// join and leave do the same with an entry of a map of maps; an empty one is not kept.
func join[K, L comparable, V any](t *tx, m map[K]map[L]V, k K, l L, v V) {
	if m[k] == nil {
		put(t, m, k, make(map[L]V))
	}
	put(t, m[k], l, v)
}

func leave[K, L comparable, V any](t *tx, m map[K]map[L]V, k K, l L) {
	drop(t, m[k], l)
	if len(m[k]) == 0 {
		drop(t, m, k)
	}
}

// InTransaction reports whether ctx carries a transaction of the store.
func (s *Store) InTransaction(ctx context.Context) bool { return s.running(ctx) != nil }
