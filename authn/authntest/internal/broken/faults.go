package broken

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

func longAgo() time.Time { return born.Add(-long) }

func malformedIsAbsent(_ *http.Request, text string, id authn.Identity, err error) (authn.Identity, error) {
	var e *authn.Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized && text == "" {
		err = authn.ErrNoCredentials
	}
	return id, err
}

// anyPurpose accepts the credentials of other schemes that share the store.
func anyPurpose(s *Site, k *Keys) {
	find := k.find
	k.find = func(ctx context.Context, text string) (storage.Credential, storage.User, error) {
		c, u, err := find(ctx, text)
		if errors.Is(err, storage.ErrNotFound) {
			c, u, err = s.Store.CredentialByDigest(ctx, "knox", storage.DigestOf(text))
		}
		return c, u, err
	}
}

// lockedByJunk rejects everybody after a malformed credential.
func lockedByJunk(_ *Site, k *Keys) {
	var locked atomic.Bool
	k.finish = func(_ *http.Request, text string, id authn.Identity, err error) (authn.Identity, error) {
		var e *authn.Error
		if errors.As(err, &e) && text == "" {
			locked.Store(true)
		}
		if locked.Load() && err == nil {
			return authn.Identity{}, k.header.Reject(nil)
		}
		return id, err
	}
}

// pings asks the store before it looks for a credential.
func pings(s *Site, k *Keys) {
	read := k.read
	k.read = func(r *http.Request) (string, error) {
		if s.isDown() {
			return "", errDown
		}
		return read(r)
	}
}

// remembersRevoked has a cache of its own that nothing invalidates.
func remembersRevoked(s *Site, k *Keys) {
	var known sync.Map
	find := k.find
	k.find = func(ctx context.Context, text string) (storage.Credential, storage.User, error) {
		c, u, err := find(ctx, text)
		switch old, ok := known.Load(text); {
		case err == nil:
			known.Store(text, c)
		case ok && errors.Is(err, storage.ErrNotFound):
			c = old.(storage.Credential)
			u, err = s.Store.UserByID(ctx, c.Subject)
			u.Active = u.Active && s.isActive(c.Subject)
		}
		return c, u, err
	}
}

func claims(change func(*authn.CredentialFormat)) Case {
	return Case{Rule: "claims", Base: Authorization, Break: func(_ *Site, _ *Keys, correct authn.Authenticator) authn.Authenticator {
		a := correct.(*inAuthorization)
		for i := range a.claims {
			change(&a.claims[i])
		}
		return nil
	}}
}

// also reads the credential in a second place.
func also(second func(*http.Request) string) func(*Site, *Keys) {
	return func(_ *Site, k *Keys) {
		read := k.read
		k.read = func(r *http.Request) (string, error) {
			text, err := read(r)
			if other := second(r); err == authn.ErrNoCredentials && k.format.Valid(other) {
				return other, nil
			}
			return text, err
		}
	}
}

// renewer rejects what its scheme accepted.
type renewer struct{ *Keys }

// Renew implements authn.Renewer.
func (*renewer) Renew(http.ResponseWriter, *http.Request, authn.Identity) error {
	return authn.PermissionDenied("")
}

// anySite is the check without that of the origin.
func anySite(k *Keys) func(*http.Request, storage.Credential, storage.User) error {
	return func(_ *http.Request, c storage.Credential, u storage.User) error {
		if err := credential.CheckAccount(u, c.Epoch); err != nil || c.Expired(k.site.clock()) {
			return k.header.Reject(err)
		}
		return nil
	}
}

// challengeByError has another scheme's challenge for a rejection.
func challengeByError(_ *Site, k *Keys) {
	k.challenge = func(_ *http.Request, err error) string {
		if errors.Is(err, authn.ErrNoCredentials) {
			return "ApiKey"
		}
		return authn.BearerChallenge{}.For(err)
	}
}

// keptForAnyHost accepts keys at one host only, and does not say so to the middleware.
func keptForAnyHost(_ *Site, k *Keys) {
	check := k.check
	k.check = func(r *http.Request, c storage.Credential, u storage.User) error {
		if r.Host != "example.com" {
			return k.header.Reject(errors.New("another host"))
		}
		return check(r, c, u)
	}
}

// counts counts requests without synchronization.
func counts(k *Keys) {
	n := 0
	k.finish = func(_ *http.Request, _ string, id authn.Identity, err error) (authn.Identity, error) {
		n++
		return id, err
	}
}
