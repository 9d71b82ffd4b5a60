package apikey_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/examples/apikey/apikey"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// failing is a store whose look-ups return the error of a canceled context, as a database's do,
// and fail once down is set.
type failing struct {
	*memory.Store
	down atomic.Bool
}

func (f *failing) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	err := ctx.Err()
	if f.down.Load() {
		err = errors.New("the database is down")
	}
	if err != nil {
		return storage.Credential{}, storage.User{}, err
	}
	return f.Store.CredentialByDigest(ctx, purpose, d)
}

// The scheme keeps every promise of an authenticator, also behind a cache.
func TestContract(t *testing.T) {
	authntest.Run(t, func(t *testing.T) authntest.World {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx := context.Background()
		var now atomic.Int64 // seconds
		clock := func() time.Time { return time.Unix(1_800_000_000+now.Load(), 0) }
		base := &failing{Store: memory.New(nil)}
		db, err := cached.New(base, &cached.Options{Clock: clock})
		must(err)
		for _, name := range []string{"alice", "bob"} {
			must(db.CreateUser(ctx, storage.User{ID: "id-" + name, Name: name, Active: true, Roles: []string{"staff"}}))
		}
		s, err := apikey.New(db, clock)
		must(err)
		sends := func(text string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("X-Api-Key", text) }
		}
		issue := func(subject string, scopes []string) (func(*http.Request), storage.Credential, string) {
			text, key, err := s.Issue(ctx, storage.Credential{Subject: subject, Scopes: scopes}, 20*time.Second)
			must(err)
			return sends(text.Reveal()), key, text.Reveal()
		}
		good, key, text := issue("id-alice", nil)
		other, _, _ := issue("id-bob", nil)
		scoped, _, _ := issue("id-alice", []string{"read"})
		scopeless, _, _ := issue("id-alice", []string{})
		// #region world
		return authntest.World{
			Scheme: s, Good: good, Other: other, Scoped: scoped, Scopeless: scopeless,
			Unknown:          sends(credential.MustFormat("acme").Encode([credential.Size]byte{1})),
			Bad:              map[string]func(*http.Request){"malformed": sends(text[:50]), "junk": sends("junk"), "empty": sends("")},
			Expire:           func() { now.Store(20) },
			Revoke:           func() { must(s.Revoke(ctx, "id-alice", key.ID)) },
			Disable:          func() { must(db.SetActive(ctx, "id-alice", false)) },
			LogoutEverywhere: func() { _, err := db.BumpEpoch(ctx, "id-alice"); must(err) },
			Fail:             func() { base.down.Store(true) },
		}
		// #endregion world
	})
}

// A key of another scheme in the same table is not accepted.
func TestPurpose(t *testing.T) {
	db := memory.New(nil)
	ctx := t.Context()
	if err := db.CreateUser(ctx, storage.User{ID: "id-alice", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	text := credential.MustFormat("acme").Encode([credential.Size]byte{7})
	_, err := db.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(text), ID: "1", Subject: "id-alice"}, storage.CredentialLimit{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := apikey.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", "/", nil)
	r.Header.Set("X-Api-Key", text)
	if id, err := s.Authenticate(r); err == nil {
		t.Errorf("accepted for %q", id.Subject)
	}
}

func TestLimit(t *testing.T) {
	db := memory.New(nil)
	ctx := t.Context()
	if err := db.CreateUser(ctx, storage.User{ID: "id-alice", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	s, err := apikey.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 101 {
		_, _, err := s.Issue(ctx, storage.Credential{Subject: "id-alice"}, time.Hour)
		if want := i == 100; errors.Is(err, storage.ErrLimit) != want || err != nil && !want {
			t.Errorf("key %d: %v", i+1, err)
		}
	}
	if _, _, err := s.Issue(ctx, storage.Credential{Subject: "id-alice", Epoch: -1}, time.Hour); !errors.Is(err, storage.ErrStale) {
		t.Errorf("an earlier epoch: %v", err)
	}
}
