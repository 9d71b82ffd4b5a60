package gormstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// pruneFamilies removes up to n expired families and up to pieceRows of their tokens. It must run in
// a transaction. It locks the families first, because a claim locks the family and then adds a token.
// A family of which a token is left stays, so that no token is without its family.
func (s *Store) pruneFamilies(ctx context.Context, at int64, n int) (families int, more bool, err error) {
	var ids []any
	err = s.rows(ctx, s.dialect.bind(expiredFamilies)+s.dialect.skipLocked(), []any{at, n}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, false, err
	}
	in := " IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ") + ")"
	// Another caller of Prune can hold a token, because it erases the sealed response.
	tokens := "SELECT digest FROM vestibule_refresh_tokens WHERE family" + in + " LIMIT ?" + s.dialect.skipLocked()
	removed, err := s.exec(ctx, s.dialect.bind("WITH held AS ("+tokens+") DELETE FROM vestibule_refresh_tokens WHERE digest IN (SELECT digest FROM held)"), append(slices.Clone(ids), pieceRows)...)
	if err != nil {
		return 0, false, err
	}
	gone, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_families WHERE id"+in+
		" AND NOT EXISTS (SELECT 1 FROM vestibule_refresh_tokens t WHERE t.family = vestibule_families.id)"), ids...)
	return int(gone), gone > 0 || removed > 0, err
}

const expiredFamilies = "SELECT id FROM vestibule_families WHERE expires_us <= ? ORDER BY expires_us LIMIT ?"
