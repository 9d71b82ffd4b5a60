package cached

import (
	"context"
	"math"

	"github.com/vestibule-auth/vestibule/storage"
)

var (
	_ storage.SessionCount    = (*Store)(nil)
	_ storage.CredentialCount = (*Store)(nil)
)

// CountSessions implements [storage.SessionCount]. If the underlying store does not implement it,
// CountSessions reads the list.
func (s *Store) CountSessions(ctx context.Context, subject string) (int, error) {
	if c, ok := s.base.(storage.SessionCount); ok {
		return c.CountSessions(ctx, subject)
	}
	list, err := s.base.ListSessions(ctx, subject, math.MaxInt32)
	return len(list), err
}

// CountCredentials implements [storage.CredentialCount]. If the underlying store does not implement
// it, CountCredentials reads the list.
func (s *Store) CountCredentials(ctx context.Context, purpose, subject string) (int, error) {
	if c, ok := s.base.(storage.CredentialCount); ok {
		return c.CountCredentials(ctx, purpose, subject)
	}
	list, err := s.base.ListCredentials(ctx, purpose, subject, math.MaxInt32)
	return len(list), err
}
