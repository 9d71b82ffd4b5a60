package server

import (
	"context"
	"errors"
	"slices"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// userGrants is how many grants of one client a user can have, and accountGrants how many of all
	// clients together: clients can register themselves.
	userGrants, accountGrants = 100, 1000
	// evictions is how many grants a new one revokes at most for each of the limits. It is one,
	// unless there are more from before there was a limit.
	evictions = 50
	// manyGrants is how many grants of one client are revoked together.
	manyGrants = 10_000
)

// Grants reads up to limit grants of a user, newest first, and returns the active ones. It begins
// after the given place in the list; the zero place is before all grants. If there are more grants,
// next is the place after which they begin; otherwise it is zero.
func (s *Server) Grants(ctx context.Context, subject string, after storage.FamilyPlace, limit int) (list []storage.Family, next storage.FamilyPlace, err error) {
	list, err = s.store.ListFamilies(ctx, s.purpose, subject, after, limit+1)
	if limit > 0 && len(list) > limit {
		list = list[:limit]
		next = list[limit-1].Place()
	}
	return s.active(list), next, err
}

// active returns those of a list that have not expired.
func (s *Server) active(list []storage.Family) []storage.Family {
	now := s.now()
	return slices.DeleteFunc(list, func(f storage.Family) bool { return !now.Before(f.Expires) })
}

// RevokeGrant revokes one of a user's grants or, if all is true, every grant of the same client. It
// forgets a remembered consent to the client. It also drops the codes and approved device codes
// that the client has not redeemed, because they would become grants later. It returns
// storage.ErrNotFound if the user has no such grant. Any other error is a fault, and nothing
// changed.
func (s *Server) RevokeGrant(ctx context.Context, subject, id string, all bool) error {
	f, err := s.store.FamilyByID(ctx, s.purpose, subject, id)
	if err == nil && !s.now().Before(f.Expires) {
		err = storage.ErrNotFound
	}
	if err != nil {
		return err
	}
	client := f.Client
	return s.InTx(ctx, func(ctx context.Context) error {
		revoked := []storage.Family{f}
		if err := s.store.DeleteConsent(ctx, subject, client); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err := s.store.DeleteCodes(ctx, subject, client); err != nil {
			return err
		}
		if err := s.store.DeleteDeviceGrants(ctx, subject, client); err != nil {
			return err
		}
		if all {
			revoked, err = s.endGrants(ctx, subject, client) // with those that were created a moment ago
		} else {
			err = s.endAll(ctx, revoked)
		}
		if err != nil {
			return err
		}
		for _, f := range revoked {
			s.Notify(ctx, about(audit.ConsentDropped, f))
		}
		return nil
	})
}

// endGrants revokes every grant of a user to a client in a transaction, and returns the active ones.
func (s *Server) endGrants(ctx context.Context, subject, client string) (revoked []storage.Family, err error) {
	for {
		list, err := s.store.ListFamiliesOf(ctx, s.purpose, subject, client, 0, manyGrants) // without those that have ended
		if err != nil {
			return nil, err
		}
		if err := s.endAll(ctx, list); err != nil {
			return nil, err
		}
		more := len(list) == manyGrants
		if revoked = append(revoked, s.active(list)...); !more {
			return revoked, nil
		}
	}
}

// evict revokes the oldest grants of a user if the one that was made is beyond a limit: the oldest
// of its client or, of all clients together, the oldest of the client that has most. It returns
// them.
func (s *Server) evict(ctx context.Context, made storage.Family) ([]storage.Family, error) {
	list, err := s.store.ListFamiliesOf(ctx, s.purpose, made.Subject, made.Client, userGrants, evictions)
	if err != nil {
		return nil, err
	}
	n, err := s.store.CountFamilies(ctx, s.purpose, made.Subject)
	if err != nil {
		return nil, err
	}
	surplus := min(n.Total-len(list)-accountGrants, evictions, max(n.Most/2, 1)) // no client loses most of its grants at once
	if surplus > 0 && (len(list) == 0 || n.Client != made.Client) {
		oldest, err := s.store.ListFamiliesOf(ctx, s.purpose, made.Subject, n.Client, n.Most-surplus, surplus)
		if err != nil {
			return nil, err
		}
		list = append(list, oldest...)
	}
	list = slices.DeleteFunc(list, func(f storage.Family) bool { return f.ID == made.ID }) // by a clock that was set back
	return list, s.endAll(ctx, list)
}

// HasGrant reports whether a user has an active grant to a client.
func (s *Server) HasGrant(ctx context.Context, subject, client string) (bool, error) {
	for _, limit := range []int{1, userGrants + evictions} { // nearly always the newest one is active
		list, err := s.store.ListFamiliesOf(ctx, s.purpose, subject, client, 0, limit)
		if err != nil || len(list) == 0 {
			return false, err
		}
		if len(s.active(list)) > 0 {
			return true, nil
		}
	}
	return false, nil
}
