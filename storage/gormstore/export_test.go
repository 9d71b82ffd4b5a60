package gormstore

import "context"

// MigrateTo runs one migration of these statements.
func (s *Store) MigrateTo(ctx context.Context, statements ...string) error {
	return s.migrate(ctx, []migration{{1, "test", statements}})
}
