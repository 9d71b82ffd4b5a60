// Package memory implements every interface of package storage in the memory of one process. Create
// a store with [New]. Use it for tests, prototypes, and small servers whose users can log in again
// after a restart: all data is lost when the process exits. A store is safe for concurrent use.
//
// All interfaces are in one package because one lock makes their changes atomic together.
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

// Options configure a [Store]. A nil *Options means all defaults.
type Options struct {
	// Space is the name space of the store's subjects; see storage.Spaced. A store has only one
	// table of accounts, so set Space only if several stores share an issuer or a master key. ""
	// means no name space. If storage.CheckSpace rejects the name, CreateUser returns ErrInvalid.
	Space string
	// Ended is called in each change that revokes every credential of a subject, so that your code
	// can revoke or delete its own records. Nil means no hook. The hook MUST call the store only
	// with the context that it receives; a call with another context waits forever.
	Ended storage.EndedFunc
	// UnusedClients is the age at which Prune removes OAuth 2.0 clients that registered themselves
	// and have no code, grant, consent, token or request. 0 means 30 days; storage.NoExpiry keeps
	// all clients. See storage.UnusedClientAge for the exceptions. Set NoExpiry if grants are in
	// another store.
	UnusedClients time.Duration
	// Clock returns the current time, for epochs, claims and pruning. Nil means time.Now.
	Clock func() time.Time
}

// Store is a store in memory. Create one with [New].
//
// A transaction locks the whole store: calls with another context wait until it ends. Do not hash
// passwords or call other servers in a transaction.
type Store struct {
	now    func() time.Time
	space  string
	ended  storage.EndedFunc
	unused time.Duration // Options.UnusedClients

	mu     sync.RWMutex
	users  map[string]storage.User // by id
	names  map[string]string       // name to id
	epochs map[string]int64
	least  int64                          // minimum epoch of every subject; see raise
	raised time.Time                      // when least was raised
	tokens map[string]storage.StaticToken // by subject
	digest map[storage.Digest]string      // to subject
	perms  map[string][]string            // by subject
	groups map[string][]string            // by subject
	grants map[string][]string            // by group

	creds        map[storage.Digest]storage.Credential
	held         map[string]map[string]storage.Digest // by subject and credential ID
	sessions     map[storage.Digest]storage.Session
	sessionIDs   map[string]storage.Digest          // by session ID
	userSessions map[string]map[storage.Digest]bool // by subject
	families     map[string]storage.Family
	began        map[string]map[string]bool // family IDs by subject
	refreshes    map[storage.Digest]refresh
	chain        map[string][]storage.Digest    // refresh tokens by family, the newest last
	blocked      map[storage.BlockKey]int64     // end in microseconds
	ending       map[int64][]storage.BlockKey   // keys of blocked by bucket of their end
	replays      map[storage.BlockKey]time.Time // end
	signing      map[signingID]storage.SigningKey
	onetimes     map[storage.Digest]storage.OneTimeToken
	factors      map[string]storage.Factor
	userOneTimes map[string]map[storage.Digest]bool // by subject
	clients      map[string]storage.Client
	codes        map[storage.Digest]storage.Code
	subjectCodes map[string]map[storage.Digest]bool // codes by subject
	access       map[storage.Digest]storage.AccessToken
	accessIDs    map[string]storage.Digest
	requests     map[storage.Digest]storage.AuthRequest
	polled       map[storage.Digest]storage.DeviceGrant
	userCodes    map[storage.MAC]storage.Digest // device codes by user code
	tries        map[storage.MAC]tries
	consents     map[consentID]storage.Consent
	links        map[linkKey]storage.Link
	changes      map[changed]time.Time
	lifetimes    map[time.Duration]time.Time    // of tokens; when they were last issued
	audited      map[string]storage.AuditRecord // by ID
	sweeps       sweeps
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

		creds:        make(map[storage.Digest]storage.Credential),
		held:         make(map[string]map[string]storage.Digest),
		sessions:     make(map[storage.Digest]storage.Session),
		sessionIDs:   make(map[string]storage.Digest),
		userSessions: make(map[string]map[storage.Digest]bool),
		families:     make(map[string]storage.Family),
		began:        make(map[string]map[string]bool),
		refreshes:    make(map[storage.Digest]refresh),
		chain:        make(map[string][]storage.Digest),
		blocked:      make(map[storage.BlockKey]int64),
		ending:       make(map[int64][]storage.BlockKey),
		replays:      make(map[storage.BlockKey]time.Time),
		signing:      make(map[signingID]storage.SigningKey),
		onetimes:     make(map[storage.Digest]storage.OneTimeToken),
		factors:      make(map[string]storage.Factor),
		userOneTimes: make(map[string]map[storage.Digest]bool),
		clients:      make(map[string]storage.Client),
		codes:        make(map[storage.Digest]storage.Code),
		subjectCodes: make(map[string]map[storage.Digest]bool),
		access:       make(map[storage.Digest]storage.AccessToken),
		accessIDs:    make(map[string]storage.Digest),
		requests:     make(map[storage.Digest]storage.AuthRequest),
		polled:       make(map[storage.Digest]storage.DeviceGrant),
		userCodes:    make(map[storage.MAC]storage.Digest),
		tries:        make(map[storage.MAC]tries),
		consents:     make(map[consentID]storage.Consent),
		links:        make(map[linkKey]storage.Link),
		changes:      make(map[changed]time.Time),
		lifetimes:    make(map[time.Duration]time.Time),
		audited:      make(map[string]storage.AuditRecord),
	}
	if opts != nil && opts.Clock != nil {
		s.now = opts.Clock
	}
	if opts != nil {
		s.space, s.ended, s.unused = opts.Space, opts.Ended, opts.UnusedClients
	}
	return s
}

// Space returns Options.Space. It implements [storage.Spaced].
func (s *Store) Space() string { return s.space }

// AccountStore returns s. It implements [storage.AccountSource].
func (s *Store) AccountStore() any { return s }

// checkSubject returns ErrInvalid unless subject can be a subject of this store's space.
func (s *Store) checkSubject(subject string) error {
	if err := storage.CheckID("subject", subject); err != nil {
		return err
	}
	if !storage.BelongsTo(s.space, subject) {
		return fmt.Errorf("%w: subject is not in the space %q", storage.ErrInvalid, s.space)
	}
	return nil
}

// Ping returns the error of ctx. Memory is always available.
func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

type txKey struct{ *Store }

// tx is a transaction. It records how to undo its changes.
type tx struct {
	undo    []func()
	endings []storage.Ending // for which Options.Ended has not been called yet
	ended   atomic.Bool
}

// errEnded is returned for a call with the context of a transaction that has ended, because it no
// longer holds the lock.
var errEnded = errors.New("memory: transaction has ended (use a context without it)")

// InTx runs fn in a transaction, which locks the store. It implements [storage.Transactor].
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

// write runs f with the store locked for writing. f makes its changes with put and drop.
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

// count is write for changes that return the number of changed records; 0 if the change fails.
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

// attempt undoes the changes of f if f or the Ended hook fails.
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

// read runs f with the store locked for reading.
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

// put sets an entry of a map, and drop deletes one. Both record how to undo the change.
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

// join sets an entry of a map of maps, and leave deletes one. Both record how to undo the change.
// Empty inner maps are removed.
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

// InTransaction reports whether ctx carries a transaction of this store. Package cached uses it.
func (s *Store) InTransaction(ctx context.Context) bool { return s.running(ctx) != nil }
