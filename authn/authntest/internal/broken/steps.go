package broken

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// step makes a Case of a change to the steps.
func step(rule string, change func(s *Site, k *Keys)) Case {
	return on(Field, rule, change)
}

func on(b Base, rule string, change func(s *Site, k *Keys)) Case {
	return Case{Rule: rule, Base: b, Break: func(s *Site, k *Keys, _ authn.Authenticator) authn.Authenticator {
		change(s, k)
		return nil
	}}
}

// absent changes what is returned if there is no credential.
func absent(err error) func(*Site, *Keys) {
	return func(_ *Site, k *Keys) {
		k.finish = func(_ *http.Request, _ string, id authn.Identity, was error) (authn.Identity, error) {
			switch {
			case was != authn.ErrNoCredentials:
				return id, was
			case err == nil:
				id = authn.Identity{Subject: "guest", Scheme: k.name}
			}
			return id, err
		}
	}
}

// identities changes an identity.
func identities(change func(id *authn.Identity, c storage.Credential, u storage.User)) func(*Site, *Keys) {
	return func(_ *Site, k *Keys) {
		identity := k.identity
		k.identity = func(c storage.Credential, u storage.User) authn.Identity {
			id := identity(c, u)
			change(&id, c, u)
			return id
		}
	}
}

// rejections changes a rejection.
func rejections(change func(text string, e *authn.Error)) func(*Site, *Keys) {
	return func(_ *Site, k *Keys) {
		k.finish = func(_ *http.Request, text string, id authn.Identity, err error) (authn.Identity, error) {
			var e *authn.Error
			if errors.As(err, &e) {
				c := *e
				change(text, &c)
				err = &c
			}
			return id, err
		}
	}
}

// faults changes a failure of the store.
func faults(change func(k *Keys, err error) (authn.Identity, error)) func(*Site, *Keys) {
	return func(s *Site, k *Keys) {
		k.finish = func(_ *http.Request, _ string, id authn.Identity, err error) (authn.Identity, error) {
			if errors.Is(err, errDown) {
				return change(k, err)
			}
			return id, err
		}
	}
}

// texts changes the text before it is read.
func texts(change func(string) string) func(*Site, *Keys) {
	return func(_ *Site, k *Keys) {
		k.read = func(r *http.Request) (string, error) {
			lines := r.Header["X-Api-Key"]
			if len(lines) == 1 {
				c := *r
				c.Header = http.Header{"X-Api-Key": {change(lines[0])}}
				r = &c
			}
			return k.header.Read(r)
		}
	}
}

// checks replaces the check of the record.
func checks(valid func(s *Site, c storage.Credential, u storage.User) bool) func(*Site, *Keys) {
	return func(s *Site, k *Keys) {
		k.check = func(_ *http.Request, c storage.Credential, u storage.User) error {
			if !valid(s, c, u) {
				return k.header.Reject(nil)
			}
			return nil
		}
	}
}

// leases replaces the lease by one that an event does not end.
func leases(insensitive string) func(*Site, *Keys) {
	return func(s *Site, k *Keys) {
		keep := k.keep
		k.keep = func(c storage.Credential, u storage.User) authn.Keep {
			kept := keep(c, u)
			kept.Lease = &lease{s, c, u.Epoch, insensitive}
			return kept
		}
	}
}
