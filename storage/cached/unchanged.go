package cached

import (
	"context"
	"sync/atomic"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/storage"
)

var _ storage.UnchangedTokens = (*Store)(nil)

// UnchangedUser implements [storage.UnchangedTokens]. The account is cached once for all tokens of its
// subject.
func (s *Store) UnchangedUser(ctx context.Context, t *storage.IssuedToken) (u storage.User, ok bool, err error) {
	if !s.unchangedToken(ctx, t, elapsed.Read()) {
		return storage.User{}, false, nil
	}
	if t.Subject == "" {
		return storage.User{}, true, nil
	}
	if u, _, err = s.LiveUser(ctx, t.Subject); err != nil {
		return storage.User{}, true, err
	}
	if of, ok := u.LeaseOf(s).(timedLease); ok {
		u = u.Leased(&accountLease{tokenLease{s: s, token: *t}, of})
	}
	return u, true, nil
}

// TokenLease implements [storage.UnchangedTokens].
func (s *Store) TokenLease(t *storage.IssuedToken) storage.Lease {
	return &claimsLease{tokenLease{s: s, token: *t}}
}

// timedLease is a lease for callers that have already read the clock.
type timedLease interface {
	storage.Lease
	ValidAt(ctx context.Context, now elapsed.Instant) bool
}

// tokenLease is valid while none of a token's names is in the deny set.
type tokenLease struct {
	s     *Store
	token storage.IssuedToken
	seen  atomic.Uint64 // one more than the changes of the set after which the token was not in it
}

func (l *tokenLease) unchanged(ctx context.Context, now elapsed.Instant) bool {
	d := l.s.denied
	asked, ok := d.usable(now) // before the names: see denied
	if !ok {
		return false
	}
	changes := d.set.Changes() + 1
	if l.seen.Load() == changes { // nothing was added since
		return int64(l.token.Lifetime) <= d.accepted.Load() && !l.s.direct(ctx, Standings) && d.asked.Load() == asked
	}
	if !l.s.unchangedToken(ctx, &l.token, now) {
		return false
	}
	l.seen.Store(changes)
	return true
}

// IssuedBy implements storage.Lease.
func (l *tokenLease) IssuedBy(store any) bool { return l.s.answers(store) }

// claimsLease is the lease of an identity with the claims of its token.
type claimsLease struct{ tokenLease }

// Valid implements storage.Lease.
func (l *claimsLease) Valid(ctx context.Context) bool { return l.ValidAt(ctx, elapsed.Read()) }

// ValidAt is Valid for a caller that has already read the clock (package authn).
func (l *claimsLease) ValidAt(ctx context.Context, now elapsed.Instant) bool {
	return l.unchanged(ctx, now) && l.s.accountsTold()
}

// accountLease is the lease of an identity with an account.
type accountLease struct {
	tokenLease
	account timedLease
}

// Valid implements storage.Lease.
func (l *accountLease) Valid(ctx context.Context) bool { return l.ValidAt(ctx, elapsed.Read()) }

// ValidAt is Valid for a caller that has already read the clock (package authn).
func (l *accountLease) ValidAt(ctx context.Context, now elapsed.Instant) bool {
	return l.account.ValidAt(ctx, now) && l.unchanged(ctx, now)
}
