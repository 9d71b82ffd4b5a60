package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Failing is a store in memory for schemes under authntest: its look-ups return the error of a
// canceled context, and fail once they are told to.
type Failing struct {
	*memory.Store
	down atomic.Bool
}

// ErrDown is how a store fails.
var ErrDown = errors.New("storetest: the database is down")

// Fail makes later look-ups fail.
func (f *Failing) Fail() { f.down.Store(true) }

func (f *Failing) err(ctx context.Context) error {
	if f.down.Load() {
		return ErrDown
	}
	return ctx.Err()
}

// CredentialByDigest implements storage.Credentials.
func (f *Failing) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	if err := f.err(ctx); err != nil {
		return storage.Credential{}, storage.User{}, err
	}
	return f.Store.CredentialByDigest(ctx, purpose, d)
}

// StaticTokenByDigest implements storage.StaticTokens.
func (f *Failing) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	if err := f.err(ctx); err != nil {
		return storage.StaticToken{}, storage.User{}, err
	}
	return f.Store.StaticTokenByDigest(ctx, d)
}

// SessionByDigest implements storage.Sessions.
func (f *Failing) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	if err := f.err(ctx); err != nil {
		return storage.Session{}, storage.User{}, err
	}
	return f.Store.SessionByDigest(ctx, d)
}

// TokenStatusWithUser implements storage.Blocklist.
func (f *Failing) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	if err := f.err(ctx); err != nil {
		return storage.User{}, storage.TokenStatus{}, err
	}
	return f.Store.TokenStatusWithUser(ctx, subject, keys)
}

// TokenStatusOf implements storage.Blocklist.
func (f *Failing) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	if err := f.err(ctx); err != nil {
		return storage.TokenStatus{}, err
	}
	return f.Store.TokenStatusOf(ctx, subject, keys)
}

// AccessByDigest implements storage.AccessTokens.
func (f *Failing) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	if err := f.err(ctx); err != nil {
		return storage.AccessState{}, err
	}
	return f.Store.AccessByDigest(ctx, d)
}

// UserByID implements storage.Users.
func (f *Failing) UserByID(ctx context.Context, id string) (storage.User, error) {
	if err := f.err(ctx); err != nil {
		return storage.User{}, err
	}
	return f.Store.UserByID(ctx, id)
}

// UserByName implements storage.Users.
func (f *Failing) UserByName(ctx context.Context, name string) (storage.User, error) {
	if err := f.err(ctx); err != nil {
		return storage.User{}, err
	}
	return f.Store.UserByName(ctx, name)
}

// Accounts is what a scheme under authntest needs of its surroundings: a store that can fail,
// behind a cache that gives leases, with the accounts id-alice and id-bob, a clock, and what the
// scheme wrote.
type Accounts struct {
	*cached.Store
	Base *Failing

	t   testing.TB
	mu  sync.Mutex
	now time.Time
	log []byte
}

// NewAccounts returns Accounts. now is when the clock begins.
func NewAccounts(t testing.TB, now time.Time) *Accounts {
	t.Helper()
	a := &Accounts{t: t, now: now}
	a.Base = &Failing{Store: memory.New(&memory.Options{Clock: a.Clock})}
	var err error
	if a.Store, err = cached.New(a.Base, &cached.Options{TTL: cached.MaxTTL, Clock: a.Clock}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		a.Must(a.CreateUser(context.Background(), storage.User{ID: "id-" + name, Name: name, Active: true, Roles: []string{"staff", "writer"}}))
	}
	return a
}

// Must fails the test for an error.
func (a *Accounts) Must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// Clock reads the clock.
func (a *Accounts) Clock() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// Pass moves the clock.
func (a *Accounts) Pass(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
}

// Disable disables the account id-alice.
func (a *Accounts) Disable() { a.Must(a.SetActive(context.Background(), "id-alice", false)) }

// LogoutEverywhere revokes every credential of id-alice.
func (a *Accounts) LogoutEverywhere() {
	_, err := a.BumpEpoch(context.Background(), "id-alice")
	a.Must(err)
}

// Write is for a log.
func (a *Accounts) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, b...)
	return len(b), nil
}

// Print notes an event.
func (a *Accounts) Print(event any) { _, _ = fmt.Fprintf(a, "%+v\n", event) }

// Written returns what was written.
func (a *Accounts) Written() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return string(a.log)
}
