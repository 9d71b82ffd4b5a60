package jwt

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

var errLifetime = errors.New("the token lives longer than any that this application issues")

// forgettable returns an error for a token that lives longer than the store remembers revocations.
// Times of tokens are whole seconds.
func (s *Scheme) forgettable(a *Access) error {
	if s.recent == nil {
		return nil
	}
	if _, most := s.recent.TokenLifetime(); a.issued.Lifetime > most {
		return s.invalid.WithCause(errLifetime)
	}
	return nil
}

// account checks a token and loads its account: without a query if the deny set permits it, and with
// one otherwise.
func (s *Scheme) account(ctx context.Context, a *Access) (storage.User, error) {
	if err := s.forgettable(a); err != nil {
		return storage.User{}, err
	}
	var st storage.TokenStatus
	u, known, err := storage.User{}, false, error(nil)
	if s.recent != nil {
		if u, known, err = s.recent.UnchangedUser(ctx, &a.issued); known {
			st.Epoch = u.Epoch
		}
	}
	if !known {
		u, st, err = s.store.TokenStatusWithUser(ctx, a.Subject, a.keys)
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return storage.User{}, s.invalid.WithCause(err)
	case err != nil:
		return storage.User{}, err
	case !u.Active:
		return storage.User{}, s.invalid.WithCause(credential.ErrDisabled)
	}
	return u, s.stands(a, st)
}

// loaded checks a token and loads its account, with at most one query.
func (s *Scheme) loaded(ctx context.Context, k *known) error {
	a := k.access
	u, err := s.account(ctx, a)
	if err != nil {
		return err
	}
	if err := s.used(ctx, a); err != nil {
		return err
	}
	var account *storage.Account
	if k.identity.Delegated() { // no roles, and only permissions to which a scope is mapped
		account = u.WithScopedPermissions(s.perms)
	} else {
		k.identity.Roles = u.Roles
		account = u.WithPermissions(s.perms)
	}
	if s.opts.User == nil {
		k.identity.User, k.lease = account, u.LeaseOf(s.store)
		return nil
	}
	k.identity.User, err = audit.Call("jwt.Options.User", func() (authn.User, error) { return s.opts.User(ctx, account.Clone()) })
	return err
}

// stateless checks a token without loading its account. The roles of the token count only while they
// are certainly those of the account, if there is a deny set.
func (s *Scheme) stateless(ctx context.Context, k *known) error {
	a := k.access
	switch {
	case s.recent == nil:
		st, err := s.store.TokenStatusOf(ctx, a.Subject, a.keys)
		if err == nil {
			err = s.stands(a, st)
		}
		if err != nil {
			return err
		}
		k.identity.Roles = k.own.Roles
	case s.forgettable(a) == nil && s.recent.TokenUnchanged(ctx, &a.issued):
		k.identity.Roles, k.lease = k.own.Roles, s.recent.TokenLease(&a.issued)
	default:
		u, err := s.account(ctx, a)
		if err != nil {
			return err
		}
		if !k.identity.Delegated() {
			k.identity.Roles = u.Roles
		}
	}
	return s.used(ctx, a)
}

func (s *Scheme) stands(a *Access, st storage.TokenStatus) error {
	switch {
	case st.Blocked:
		return s.invalid.WithCause(errBlocked)
	case st.Epoch != a.Version:
		return s.invalid.WithCause(credential.ErrEpoch)
	}
	return nil
}

// used reports the use of an access token. Its time is in whole seconds, rounded down.
func (s *Scheme) used(ctx context.Context, a *Access) error {
	if !s.opts.CloseGraceOnUse {
		return nil
	}
	if authn.Explained(ctx) {
		return nil
	}
	return s.rotator.Used(ctx, a.Family, a.Issued.Add(time.Second), s.opts.Clock())
}
