package cached_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// accountStore is what keyStore reads accounts from.
type accountStore interface {
	storage.Users
	storage.Accounts
	storage.Subjects
}

// keyStore is somebody's own store of API keys: the four methods of storage.Credentials, and
// accounts elsewhere.
type keyStore struct {
	accounts accountStore
	mu       sync.Mutex
	keys     map[storage.Digest]storage.Credential
	asked    int
}

func newKeyStore(accounts accountStore) *keyStore {
	return &keyStore{accounts: accounts, keys: map[storage.Digest]storage.Credential{}}
}

func copied(c storage.Credential) storage.Credential {
	c.Created, c.Expires, c.LastUsed, c.Max = c.Created.UTC(), c.Expires.UTC(), c.LastUsed.UTC(), c.Max.UTC()
	return *c.CloneCredential().(*storage.Credential)
}

func (s *keyStore) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	c, ok := s.keys[d]
	if !ok || c.Purpose != purpose {
		return storage.Credential{}, storage.User{}, storage.ErrNotFound
	}
	u, err := s.accounts.UserByID(ctx, c.Subject)
	if err != nil {
		return storage.Credential{}, storage.User{}, err
	}
	return copied(c), u, nil
}

func (s *keyStore) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) (evicted []storage.Credential, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.accounts.UserByID(ctx, c.Subject)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (!u.Active || u.Epoch != c.Epoch) {
		return nil, storage.ErrStale
	} else if err != nil {
		return nil, err
	}
	var live []storage.Credential
	for d, old := range s.keys {
		if d == c.Digest || old.Subject == c.Subject && old.ID == c.ID {
			return nil, storage.ErrConflict
		}
		if old.Subject == c.Subject && old.Purpose == c.Purpose && old.Epoch == u.Epoch && !old.Expired(l.Now) {
			live = append(live, copied(old))
		}
	}
	slices.SortFunc(live, func(a, b storage.Credential) int {
		if n := a.Created.Compare(b.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	if l.Max > 0 && len(live) >= l.Max {
		if !l.Evict {
			return nil, storage.ErrLimit
		}
		evicted = live[:len(live)-l.Max+1]
	}
	for _, old := range evicted {
		delete(s.keys, old.Digest)
	}
	s.keys[c.Digest] = copied(c)
	return evicted, nil
}

func (s *keyStore) TouchCredential(_ context.Context, purpose string, d storage.Digest, used, expires, before time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.keys[d]
	correct := before.After(used)
	if !ok || c.Purpose != purpose || c.Expired(used) || c.LastUsed.After(before) || correct && !c.LastUsed.After(used) {
		return false, nil
	}
	if !c.Max.IsZero() && expires.After(c.Max) {
		expires = c.Max
	}
	if c.LastUsed = used; !c.Expires.IsZero() && !expires.IsZero() && (correct || expires.After(c.Expires)) {
		c.Expires = expires
	}
	s.keys[d] = c
	return true, nil
}

func (s *keyStore) DeleteCredential(_ context.Context, purpose, subject, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, c := range s.keys {
		if c.Purpose == purpose && c.Subject == subject && c.ID == id {
			delete(s.keys, d)
			return nil
		}
	}
	return storage.ErrNotFound
}

// part is cached.Part for a part that is there.
func part[P any](t testing.TB, c *cached.Parts) P {
	t.Helper()
	p, err := cached.Part[P](c)
	must(t, err)
	return p
}

// three are the parts with accounts.
type three struct {
	storage.Users
	storage.Accounts
	storage.Subjects
}

// A store of one part, and one of sessions, pass the suite bare and with a cache whose entries
// never end by themselves.
func TestPartsConformance(t *testing.T) {
	opts := &cached.Options{Clock: still}
	keys := []storagetest.Part{storagetest.Credentials}
	t.Run("own store", func(t *testing.T) {
		storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
			m := memory.New(nil)
			return storagetest.Opened{Store: newKeyStore(m), Beside: m}
		}, keys...)
	})
	t.Run("own store, cached", func(t *testing.T) {
		storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
			m := memory.New(nil)
			c, err := cached.NewParts(opts, newKeyStore(m), m)
			must(t, err)
			return storagetest.Opened{Store: part[storage.Credentials](t, c), Beside: three{part[storage.Users](t, c), part[storage.Accounts](t, c), part[storage.Subjects](t, c)}}
		}, keys...)
	})
	t.Run("sessions, cached", func(t *testing.T) {
		storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
			m := memory.New(nil)
			c, err := cached.NewParts(opts, struct {
				storage.Sessions
				storage.SessionList
				storage.Pruner
			}{m, m, m}, struct{ accountStore }{m})
			must(t, err)
			return storagetest.Opened{Store: struct {
				storage.Sessions
				storage.SessionList
				storage.Pruner
			}{part[storage.Sessions](t, c), part[storage.SessionList](t, c), part[storage.Pruner](t, c)}, Beside: three{part[storage.Users](t, c), part[storage.Accounts](t, c), part[storage.Subjects](t, c)}}
		}, storagetest.Sessions, storagetest.SessionList, storagetest.Pruner)
	})
}

// What Part returns has the methods of its part and no others; what no store has is an error.
func TestPartsDoNotPretend(t *testing.T) {
	m := memory.New(nil)
	c, err := cached.NewParts(nil, newKeyStore(m), struct{ storage.Users }{m})
	must(t, err)
	keys := part[storage.Credentials](t, c)
	if got := storagetest.PartsOf(keys); !slices.Equal(got, []storagetest.Part{storagetest.Credentials}) {
		t.Errorf("the part has %v", got)
	}
	if _, ok := keys.(cached.Invalidator); ok {
		t.Error("the part is more than its interface")
	}
	part[storage.Users](t, c)
	part[storage.LiveUsers](t, c)
	for what, err := range map[string]error{
		"CredentialList": lacks[storage.CredentialList](c), "Sessions": lacks[storage.Sessions](c), "Accounts": lacks[storage.Accounts](c), "Subjects": lacks[storage.Subjects](c),
		"Transactor": lacks[storage.Transactor](c), "Pruner": lacks[storage.Pruner](c), "PermissionChecker": lacks[storage.PermissionChecker](c), "Spaced": lacks[storage.Spaced](c),
	} {
		if err == nil || !strings.Contains(err.Error(), "none of the stores implements storage."+what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := lacks[accountStore](c); err == nil || !strings.Contains(err.Error(), "not a single interface of package storage") {
		t.Errorf("a union: %v", err)
	}
}

func lacks[P any](c *cached.Parts) error {
	p, err := cached.Part[P](c)
	if err != nil && any(p) != nil {
		return errors.New("a part comes with the error")
	}
	return err
}

// halfTx cannot say what belongs to its transactions.
type halfTx struct {
	storage.Sessions
	storage.Transactor
}

func TestPartsRefused(t *testing.T) {
	m := memory.New(nil)
	tell := &cached.Options{Tell: func(context.Context, cached.Change) error { return nil }}
	for want, err := range map[string]error{
		"store is nil":                                  newParts(nil, nil),
		"no store implements":                           newParts(nil, 7),
		"no store implements an":                        newParts(nil),
		"no method InTransaction":                       newParts(nil, halfTx{m, m}),
		"both have transactions":                        newParts(nil, m, memory.New(nil)),
		"Tell requires a store with":                    newParts(tell, newKeyStore(m)),
		"different name spaces, \"staff\" and \"cust\"": newParts(nil, memory.New(&memory.Options{Space: "staff"}), struct{ storage.Spaced }{memory.New(&memory.Options{Space: "cust"})}),
		"TTL -1ns":                                      newParts(&cached.Options{TTL: -1}, m),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	must(t, newParts(tell, newKeyStore(m), m))
}

func newParts(opts *cached.Options, stores ...any) error {
	_, err := cached.NewParts(opts, stores...)
	return err
}

// A change of any of the stores ends what is kept of another, at once; one that goes around the
// cache does so when it is told.
func TestPartsEndTogether(t *testing.T) {
	ctx, m := t.Context(), memory.New(nil)
	own := newKeyStore(m)
	c, err := cached.NewParts(&cached.Options{Clock: still}, own, m)
	must(t, err)
	keys, subjects := part[storage.Credentials](t, c), part[storage.Subjects](t, c)
	must(t, m.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Active: true}))
	d := storage.DigestOf("key")
	epoch := func() int64 {
		t.Helper()
		_, u, err := keys.CredentialByDigest(ctx, "apikey", d)
		must(t, err)
		return u.Epoch
	}
	_, err = keys.CreateCredential(ctx, storage.Credential{Purpose: "apikey", Digest: d, ID: "1", Subject: "alice"}, storage.CredentialLimit{})
	must(t, err)
	if epoch(); epoch() != 0 || own.asked != 1 || c.Usage().Entries != 1 {
		t.Fatalf("the store was asked %d times: %+v", own.asked, c.Usage())
	}
	n, err := subjects.BumpEpoch(ctx, "alice")
	must(t, err)
	_, err = keys.CreateCredential(ctx, storage.Credential{Purpose: "apikey", Digest: storage.DigestOf("2"), ID: "2", Subject: "alice", Epoch: n}, storage.CredentialLimit{})
	must(t, err)
	if epoch() != n {
		t.Error("log-out-everywhere does not reach the other store's answers")
	}
	d = storage.DigestOf("2")
	epoch()
	around, err := m.BumpEpoch(ctx, "alice")
	must(t, err)
	if epoch() != n {
		t.Error("a change around the cache was seen: is anything kept?")
	}
	if c.InvalidateSubject("alice"); epoch() != around {
		t.Error("the cache was told, and answers as before")
	}
}

// decorated has rules of its own, perhaps.
type decorated struct{ storage.Credentials }

// A lease is the part's own, also inside of a struct without a name; never that of a type which
// could answer otherwise.
func TestPartsLease(t *testing.T) {
	ctx, m := t.Context(), memory.New(nil)
	c, err := cached.NewParts(&cached.Options{Clock: still}, m)
	must(t, err)
	keys, list := part[storage.Credentials](t, c), part[storage.CredentialList](t, c)
	must(t, m.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Active: true}))
	d := storage.DigestOf("key")
	_, err = keys.CreateCredential(ctx, storage.Credential{Purpose: "apikey", Digest: d, ID: "1", Subject: "alice"}, storage.CredentialLimit{})
	must(t, err)
	var u storage.User
	for range 2 {
		_, u, err = keys.CredentialByDigest(ctx, "apikey", d)
		must(t, err)
	}
	other, err := cached.NewParts(nil, m)
	must(t, err)
	for what, x := range map[string]struct {
		store any
		want  bool
	}{
		"the part": {keys, true},
		"composed": {struct {
			storage.Credentials
			storage.CredentialList
		}{keys, list}, true},
		"with another store": {struct {
			storage.Credentials
			storage.Users
		}{keys, m}, false},
		"with a field":         {struct{ Keys storage.Credentials }{keys}, false},
		"with nothing":         {struct{ storage.Credentials }{}, false},
		"a type with a name":   {decorated{keys}, false},
		"a decorator inside":   {struct{ storage.Credentials }{decorated{keys}}, false},
		"the store beneath":    {m, false},
		"another cache's part": {part[storage.Credentials](t, other), false},
		"nothing":              {nil, false},
	} {
		if got := u.LeaseOf(x.store) != nil; got != x.want {
			t.Errorf("%s: leased %t", what, got)
		}
	}
}
