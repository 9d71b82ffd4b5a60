package gormstore

import "context"

// MigrateTo runs one migration of these statements.
func (s *Store) MigrateTo(ctx context.Context, statements ...string) error {
	return s.migrate(ctx, []migration{{1, "test", statements}})
}

// HotQueries are those whose plan matters.
func (s *Store) HotQueries() map[string]string {
	return map[string]string{"token": s.q.tokenByDigest, "user": s.q.userByID}
}
