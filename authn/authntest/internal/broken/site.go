// Package broken has authenticators that break one promise of their contract each, and correct
// ones to compare with. They prove package authntest: a rule that does not find the authenticator
// that breaks it proves nothing.
package broken

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// purpose of the credentials.
const purpose = "api-key"

// born is when the clock begins.
var born = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// TTL is how long a credential lives.
const TTL = time.Hour

// Site is a store with accounts, behind a cache, and the scheme that uses it.
type Site struct {
	Store *cached.Store
	Keys  *Keys

	base *base
	mu   sync.Mutex
	now  time.Time
	log  strings.Builder
}

// base is the store behind the cache.
type base struct {
	*memory.Store
	mu       sync.Mutex
	down     bool
	inactive string
}

var errDown = errors.New("the database is down")

func (b *base) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := ctx.Err()
	if b.down {
		err = errDown
	}
	if err != nil {
		return storage.Credential{}, storage.User{}, err
	}
	c, u, err := b.Store.CredentialByDigest(ctx, purpose, d)
	// An application's own table can disable an account without a new epoch.
	u.Active = u.Active && u.ID != b.inactive
	return c, u, err
}

// New returns a site with the accounts alice and bob, and a correct scheme.
func New() (*Site, error) {
	s := &Site{base: &base{Store: memory.New(nil)}, now: born}
	var err error
	if s.Store, err = cached.New(s.base, &cached.Options{Clock: s.clock}); err != nil {
		return nil, err
	}
	for _, name := range []string{"alice", "bob"} {
		u := storage.User{ID: name, Name: name, Active: true, Roles: []string{"staff", "writer"}}
		if err := s.Store.CreateUser(context.Background(), u); err != nil {
			return nil, err
		}
	}
	s.Keys, err = newKeys(s)
	return s, err
}

func (s *Site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Pass moves the clock.
func (s *Site) Pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// Fail makes the store fail.
func (s *Site) Fail() {
	s.base.mu.Lock()
	defer s.base.mu.Unlock()
	s.base.down = true
}

func (s *Site) isDown() bool {
	s.base.mu.Lock()
	defer s.base.mu.Unlock()
	return s.base.down
}

// Disable disables an account.
func (s *Site) Disable(subject string) {
	s.base.mu.Lock()
	s.base.inactive = subject
	s.base.mu.Unlock()
	s.Store.InvalidateSubject(subject)
}

func (s *Site) isActive(subject string) bool {
	s.base.mu.Lock()
	defer s.base.mu.Unlock()
	return s.base.inactive != subject
}

// Written is the log of the scheme.
func (s *Site) Written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *Site) print(args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(&s.log, args...)
}

// Issue creates a credential and returns its text and ID.
func (s *Site) Issue(purpose, subject string, scopes []string) (text, id string, err error) {
	epoch, err := s.Store.SubjectEpoch(context.Background(), subject)
	if err != nil {
		return "", "", err
	}
	if text, err = s.Keys.format.New(rand.Reader); err != nil {
		return "", "", err
	}
	if id, err = credential.NewID(rand.Reader); err != nil {
		return "", "", err
	}
	c := storage.Credential{
		Digest: storage.DigestOf(text), Purpose: purpose, ID: id, Subject: subject, Epoch: epoch, Scopes: scopes,
		Created: s.clock(), Expires: s.clock().Add(TTL),
	}
	_, err = s.Store.CreateCredential(context.Background(), c, storage.CredentialLimit{})
	return text, id, err
}

// Unknown returns a credential that was never issued.
func (s *Site) Unknown() string { return s.Keys.format.Encode([credential.Size]byte{1}) }

// Purpose returns the purpose of the scheme's credentials.
func Purpose() string { return purpose }
