package server

import (
	"context"
	"errors"
	"slices"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// manyGrants is how many grants of a user are examined.
const manyGrants = 10_000

// Grants returns up to limit active grants of a user, newest first.
func (s *Server) Grants(ctx context.Context, subject string, limit int) ([]storage.Family, error) {
	list, err := s.store.ListFamilies(ctx, s.purpose, subject, limit)
	now, live := s.now(), list[:0]
	for _, f := range list {
		if now.Before(f.Expires) {
			live = append(live, f)
		}
	}
	return live, err
}

// RevokeGrant revokes one of a user's grants or, with all, every grant of the same client. It
// forgets a remembered consent to the client, and drops the codes and approved device codes that
// the client has not redeemed, which would become grants later. It returns storage.ErrNotFound if
// the user has no such grant. Any other error is a fault, and nothing changed.
func (s *Server) RevokeGrant(ctx context.Context, subject, id string, all bool) error {
	list, err := s.Grants(ctx, subject, manyGrants)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(f storage.Family) bool { return f.ID == id })
	if i < 0 {
		return storage.ErrNotFound
	}
	client := list[i].Client
	list = list[i : i+1]
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.DeleteConsent(ctx, subject, client); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err := s.store.DeleteCodes(ctx, subject, client); err != nil {
			return err
		}
		if err := s.store.DeleteDeviceGrants(ctx, subject, client); err != nil {
			return err
		}
		if all { // with those that were created a moment ago
			if list, err = s.Grants(ctx, subject, manyGrants); err != nil {
				return err
			}
			list = slices.DeleteFunc(list, func(f storage.Family) bool { return f.Client != client })
		}
		return s.endAll(ctx, list)
	})
	if err == nil {
		for _, f := range list {
			s.Notify(ctx, about(audit.ConsentDropped, f))
		}
	}
	return err
}

// HasGrant reports whether a user has an active grant to a client.
func (s *Server) HasGrant(ctx context.Context, subject, client string) (bool, error) {
	list, err := s.Grants(ctx, subject, manyGrants)
	return slices.ContainsFunc(list, func(f storage.Family) bool { return f.Client == client }), err
}
