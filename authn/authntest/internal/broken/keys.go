package broken

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Keys is a correct scheme of API keys in X-Api-Key, made of steps that a broken one replaces.
type Keys struct {
	site   *Site
	format credential.Format
	header *credential.Header

	name      string
	headers   []string
	read      func(*http.Request) (string, error)
	find      func(context.Context, string) (storage.Credential, storage.User, error)
	failed    func(text string, err error) error // of find
	check     func(*http.Request, storage.Credential, storage.User) error
	identity  func(storage.Credential, storage.User) authn.Identity
	keep      func(storage.Credential, storage.User) authn.Keep
	challenge func(*http.Request, error) string
	revoke    func(subject, id string) error
	finish    func(r *http.Request, text string, id authn.Identity, err error) (authn.Identity, error)
}

func newKeys(s *Site) (*Keys, error) {
	k := &Keys{site: s, format: credential.MustFormat("brk"), name: "api-key", headers: []string{"X-Api-Key"}}
	var err error
	if k.header, err = credential.NewField("X-Api-Key", "ApiKey", k.format, nil); err != nil {
		return nil, err
	}
	k.read = func(r *http.Request) (string, error) { return k.header.Read(r) }
	k.challenge = func(r *http.Request, err error) string { return k.header.Challenge(r, err) }
	k.find = func(ctx context.Context, text string) (storage.Credential, storage.User, error) {
		return s.Store.CredentialByDigest(ctx, purpose, storage.DigestOf(text))
	}
	k.failed = func(_ string, err error) error {
		if errors.Is(err, storage.ErrNotFound) {
			return k.header.Reject(err)
		}
		return err
	}
	k.check = func(_ *http.Request, c storage.Credential, u storage.User) error {
		err := credential.CheckAccount(u, c.Epoch)
		if c.Expired(s.clock()) {
			err = errExpired
		}
		if err != nil {
			return k.header.Reject(err)
		}
		return nil
	}
	k.identity = func(c storage.Credential, u storage.User) authn.Identity {
		id := authn.Identity{Subject: u.ID, Scheme: k.name, Scopes: c.Scopes, User: u.WithPermissions(nil), Credential: &c, Expires: c.Expires}
		if !id.Delegated() {
			id.Roles = u.Roles
		}
		return id
	}
	k.keep = func(c storage.Credential, u storage.User) authn.Keep {
		return authn.Keep{Lease: u.LeaseOf(s.Store), Until: c.Expires, Clock: s.clock}
	}
	k.revoke = func(subject, id string) error {
		return s.Store.DeleteCredential(context.Background(), purpose, subject, id)
	}
	return k, nil
}

var errExpired = errors.New("expired")

// Authenticate does one step after another.
func (k *Keys) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := k.read(r)
	var id authn.Identity
	if err == nil {
		id, err = k.decide(r, text)
	}
	if k.finish != nil {
		id, err = k.finish(r, text, id, err)
	}
	return id, err
}

func (k *Keys) decide(r *http.Request, text string) (authn.Identity, error) {
	c, u, err := k.find(r.Context(), text)
	if err != nil {
		return authn.Identity{}, k.failed(text, err)
	}
	if err := k.check(r, c, u); err != nil {
		return authn.Identity{}, err
	}
	return k.identity(c, u).Kept(k, k.keep(c, u)), nil
}

// Presented implements authn.Keeper.
func (k *Keys) Presented(r *http.Request) (string, bool) { return k.header.Presented(r) }

// Name implements authn.Namer.
func (k *Keys) Name() string { return k.name }

// Headers implements authn.HeaderReader.
func (k *Keys) Headers() []string { return k.headers }

// Challenge implements authn.Challenger.
func (k *Keys) Challenge(r *http.Request, err error) string { return k.challenge(r, err) }

// Revoke revokes a credential.
func (k *Keys) Revoke(subject, id string) error { return k.revoke(subject, id) }

// Base is where a scheme reads its credential.
type Base string

// The bases.
const (
	Field         Base = "X-Api-Key"
	Authorization Base = "Authorization: ApiKey"
	Cookie        Base = "a cookie"
)

// Add adds a credential to a request.
func (b Base) Add(text string) func(*http.Request) {
	return func(r *http.Request) {
		switch b {
		case Field:
			r.Header.Set("X-Api-Key", text)
		case Authorization:
			r.Header.Set("Authorization", "ApiKey "+text)
		case Cookie:
			r.Header.Set("Cookie", "key="+text)
		}
	}
}

// Scheme returns the site's scheme on that base.
func (s *Site) Scheme(b Base) (authn.Authenticator, error) {
	k := s.Keys
	switch b {
	case Authorization:
		h, err := credential.NewHeader([]string{"ApiKey"}, k.format, nil)
		if err != nil {
			return nil, err
		}
		k.header, k.headers = h, h.Headers()
		return &inAuthorization{k, h.Formats()}, nil
	case Cookie:
		k.headers = []string{"Cookie"}
		k.challenge = func(*http.Request, error) string { return "Cookie" }
		k.read = func(r *http.Request) (string, error) {
			text, err := authn.Cookie(r, "key")
			switch {
			case errors.Is(err, authn.ErrSeveralCookies):
				err = k.header.Reject(err)
			case err == nil && !k.format.Valid(text):
				err = k.header.Reject(errors.New("malformed"))
			}
			return text, err
		}
		check := k.check
		k.check = func(r *http.Request, c storage.Credential, u storage.User) error {
			if csrf.IsUnsafe(r) {
				if err := csrf.SameOrigin(r); err != nil {
					return err
				}
			}
			return check(r, c, u)
		}
	}
	return k, nil
}

// inAuthorization adds claims.
type inAuthorization struct {
	*Keys
	claims []authn.CredentialFormat
}

// Formats implements authn.FormatDeclarer.
func (a *inAuthorization) Formats() []authn.CredentialFormat { return a.claims }

// lease ends for each event but one.
type lease struct {
	site        *Site
	c           storage.Credential
	epoch       int64
	insensitive string
}

// Valid implements authn.Lease.
func (l *lease) Valid(ctx context.Context) bool {
	_, u, err := l.site.base.Store.CredentialByDigest(ctx, purpose, l.c.Digest)
	return (err == nil || l.insensitive == "revoked") && (l.site.isActive(l.c.Subject) || l.insensitive == "disabled") &&
		(err != nil || u.Epoch == l.epoch || l.insensitive == "epoch")
}

// long is longer than any test.
const long = 100 * 365 * 24 * time.Hour
