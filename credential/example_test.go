package credential_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Key is the record of an API key. It does not contain the key itself.
type Key struct {
	Digest  storage.Digest
	ID      string // for lists and events
	Subject string
	Epoch   int64
	Scopes  []string
	Expires time.Time
}

// Store stores the keys.
type Store interface {
	// KeyByDigest returns the key and its account, or storage.ErrNotFound.
	KeyByDigest(ctx context.Context, d storage.Digest) (Key, storage.User, error)
	// CreateKey returns storage.ErrStale unless the account is active and has k's epoch.
	CreateKey(ctx context.Context, k Key) error
}

// Scheme accepts API keys from the header X-Api-Key.
type Scheme struct {
	store     Store
	format    credential.Format
	header    *credential.Header
	endpoints login.Endpoints
	events    *audit.Notifier
}

// New returns a scheme with the keys in store. events can be nil.
func New(store Store, events *audit.Notifier) (*Scheme, error) {
	s := &Scheme{store: store, events: events}
	var err error
	if s.format, err = credential.NewFormat("acme"); err != nil {
		return nil, err
	}
	if s.header, err = credential.NewField("X-Api-Key", "ApiKey", s.format, nil); err != nil {
		return nil, err
	}
	s.endpoints = login.Endpoints{Challenge: s.Challenge, Rejected: s.header.Reject(nil)}
	return s, nil
}

// Name, Headers and Challenge are the optional methods of an authenticator.
func (s *Scheme) Name() string                                { return "apikey" }
func (s *Scheme) Headers() []string                           { return s.header.Headers() }
func (s *Scheme) Challenge(r *http.Request, err error) string { return s.header.Challenge(r, err) }

// Authenticate authenticates a request by an API key. It needs one query.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := s.header.Read(r)
	if err != nil {
		return authn.Identity{}, err
	}
	k, u, err := s.store.KeyByDigest(r.Context(), storage.DigestOf(text))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return authn.Identity{}, s.header.Reject(err)
	case err != nil:
		return authn.Identity{}, err // the store failed: 503, not 401
	case !time.Now().Before(k.Expires):
		return authn.Identity{}, s.header.Reject(errors.New("expired"))
	}
	if err := credential.CheckAccount(u, k.Epoch); err != nil {
		return authn.Identity{}, s.header.Reject(err)
	}
	return authn.Identity{Subject: u.ID, Scheme: s.Name(), Scopes: k.Scopes, User: u.WithPermissions(nil), Credential: &k, Expires: k.Expires}, nil
}

// Issue creates a key for subject and returns its text, which cannot be retrieved again.
func (s *Scheme) Issue(ctx context.Context, subject string, epoch int64, scopes []string) (credential.Secret, error) {
	text, err := s.format.New(rand.Reader)
	if err != nil {
		return "", err
	}
	id, err := credential.NewID(rand.Reader)
	if err != nil {
		return "", err
	}
	k := Key{Digest: storage.DigestOf(text), ID: id, Subject: subject, Epoch: epoch, Scopes: scopes, Expires: time.Now().Add(90 * 24 * time.Hour)}
	if err := s.store.CreateKey(ctx, k); err != nil {
		return "", err
	}
	s.events.Notify(ctx, audit.Event{Kind: audit.TokenCreated, Scheme: s.Name(), Subject: subject, Credential: id, Epoch: epoch})
	return credential.Secret(text), nil
}

// Login returns the endpoint that issues a key for a name and a password.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	return login.Must(login.New(pw, func(_ http.ResponseWriter, r *http.Request, l authn.Login, _ []string) ([]authn.Member, error) {
		key, err := s.Issue(audit.Context(r), l.Subject, l.Epoch, nil)
		return []authn.Member{{Name: "key", Value: key.Reveal()}}, err
	}, &login.Config{Scheme: s.Name(), Endpoints: s.endpoints, Audit: s.events}))
}

// A scheme of your own with its own store. examples/apikey has one with the stores of this module,
// and docs/new-scheme.md explains it.
func Example() {
	db := &store{users: map[string]storage.User{"id-alice": {ID: "id-alice", Active: true, Epoch: 1}}, keys: map[storage.Digest]Key{}}
	keys, err := New(db, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := keys.Issue(context.Background(), "id-alice", 1, []string{"read"})
	fmt.Println(key, err) // a Secret is never printed

	me := authn.New(authn.Chain{keys}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		fmt.Fprintf(w, "%s by %s, may %v", id.Subject, id.Scheme, id.Scopes)
	}))
	ask := func(value string) {
		r := httptest.NewRequest("GET", "/me", nil)
		r.Header.Set("X-Api-Key", value)
		w := httptest.NewRecorder()
		me.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	ask(key.Reveal())
	ask(key.Reveal() + "x")
	db.users["id-alice"] = storage.User{ID: "id-alice", Active: true, Epoch: 2} // logged out everywhere
	ask(key.Reveal())
	// Output:
	// [redacted] <nil>
	// 200 id-alice by apikey, may [read]
	// 401 {"detail":"Invalid token."}
	// 401 {"detail":"Invalid token."}
}

// store is a Store in memory.
type store struct {
	users map[string]storage.User
	keys  map[storage.Digest]Key
}

func (s *store) KeyByDigest(_ context.Context, d storage.Digest) (Key, storage.User, error) {
	k, ok := s.keys[d]
	u, known := s.users[k.Subject]
	if !ok || !known {
		return Key{}, storage.User{}, storage.ErrNotFound
	}
	k.Scopes = slices.Clone(k.Scopes) // each request gets its own
	return k, u, nil
}

func (s *store) CreateKey(_ context.Context, k Key) error {
	if u, ok := s.users[k.Subject]; !ok || credential.CheckAccount(u, k.Epoch) != nil {
		return storage.ErrStale
	}
	s.keys[k.Digest] = k
	return nil
}
