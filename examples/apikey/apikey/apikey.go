// #region package

// Package apikey is an authentication scheme of your own: API keys in the header X-Api-Key. Copy
// it into your application and change what you need; docs/new-scheme.md explains it.
package apikey

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Purpose is the storage.Credential.Purpose of the keys.
const Purpose = "apikey"

// #endregion package

// #region store

// Store is the part of a store that the scheme needs. Every store of the library has it.
type Store interface {
	storage.Credentials
	storage.CredentialList
}

// #endregion store

// #region scheme

// Scheme accepts API keys. It is safe for concurrent use.
type Scheme struct {
	*credential.Header // Headers, Challenge and Presented
	store              Store
	format             credential.Format
	clock              func() time.Time
}

// #endregion scheme

// #region new

// New returns a scheme over store. A nil clock is time.Now.
func New(store Store, clock func() time.Time) (*Scheme, error) {
	s := &Scheme{store: store, format: credential.MustFormat("acme")}
	s.clock, _ = credential.Sources(clock, nil)
	var err error
	s.Header, err = credential.NewField("X-Api-Key", "ApiKey", s.format, &credential.HeaderOptions{Detail: "Invalid API key."})
	return s, err
}

// #endregion new

// #region authenticate

// Name returns "apikey".
func (s *Scheme) Name() string { return "apikey" }

// Authenticate looks for an API key. It takes one query, or none with a cache.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := s.Read(r)
	if err != nil {
		return authn.Identity{}, err
	}
	key, u, err := s.store.CredentialByDigest(r.Context(), Purpose, storage.DigestOf(text))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return authn.Identity{}, s.Reject(err)
	case err != nil:
		return authn.Identity{}, err // the store failed: 503, not 401
	case key.Expired(s.clock()):
		return authn.Identity{}, s.Reject(errors.New("expired"))
	}
	if err := credential.CheckAccount(u, key.Epoch); err != nil {
		return authn.Identity{}, s.Reject(err)
	}
	id := authn.Identity{Subject: u.ID, Scheme: s.Name(), Scopes: key.Scopes, User: u.WithPermissions(nil), Credential: &key, Expires: key.Expires}
	id.SetStore(s.store) // for endpoints of other schemes, which may have accounts of another store
	if !id.Delegated() { // a key that is limited to scopes has no roles
		id.Roles = u.Roles
	}
	return id.Kept(s, authn.Keep{Lease: u.LeaseOf(s.store), Clock: s.clock}), nil
}

// #endregion authenticate

// #region issue

// Issue creates a key with the Name, Scopes, Subject and Epoch of key that expires after ttl, and
// returns its text, which cannot be retrieved again. It returns storage.ErrLimit if the account
// has 100 keys, and storage.ErrStale if it changed since the caller was authenticated.
func (s *Scheme) Issue(ctx context.Context, key storage.Credential, ttl time.Duration) (credential.Secret, storage.Credential, error) {
	text, err := s.format.New(rand.Reader)
	if err == nil {
		key.ID, err = credential.NewID(rand.Reader)
	}
	key.Purpose, key.Digest, key.Created = Purpose, storage.DigestOf(text), credential.Stamp(s.clock())
	key.Expires = key.Created.Add(ttl)
	if err == nil {
		_, err = s.store.CreateCredential(ctx, key, storage.CredentialLimit{Max: 100, Now: key.Created})
	}
	return credential.Secret(text), key, err
}

// List returns the keys of an account, the last created first.
func (s *Scheme) List(ctx context.Context, subject string) ([]storage.Credential, error) {
	return s.store.ListCredentials(ctx, Purpose, subject, 1000)
}

// Revoke revokes a key of an account. It returns storage.ErrNotFound if there is none.
func (s *Scheme) Revoke(ctx context.Context, subject, id string) error {
	return s.store.DeleteCredential(ctx, Purpose, subject, id)
}

// #endregion issue
