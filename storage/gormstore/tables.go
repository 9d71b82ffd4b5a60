package gormstore

import (
	"context"
	"fmt"
	"strings"
)

// Table is a table outside this library that CheckSchema checks.
type Table struct {
	// Name is the table name, with its schema if necessary: "apikeys" or "app.apikeys".
	Name string
	// Columns are the columns that the program uses; at least one.
	Columns []string
}

// checkTables rejects invalid names and names of this library.
func checkTables(list []Table) error {
	for _, t := range list {
		if !plainName.MatchString(t.Name) {
			return fmt.Errorf("gormstore: Options.Tables: invalid table name %q (a-z, A-Z, 0-9 and _, with at most one dot)", t.Name)
		}
		if strings.HasPrefix(strings.ToLower(t.Name[strings.IndexByte(t.Name, '.')+1:]), "vestibule_") {
			return fmt.Errorf("gormstore: Options.Tables: invalid table name %q (names that begin with vestibule_ belong to this library)", t.Name)
		}
		if len(t.Columns) == 0 {
			return fmt.Errorf("gormstore: Options.Tables: %q has no columns (at least one)", t.Name)
		}
		for _, c := range t.Columns {
			if !column.MatchString(c) {
				return fmt.Errorf("gormstore: Options.Tables: invalid column name %q of %q (a-z, A-Z, 0-9 and _)", c, t.Name)
			}
		}
	}
	return nil
}

// checkTable returns an error if the table or some of its columns are missing.
func (s *Store) checkTable(ctx context.Context, t Table) error {
	table := s.dialect.quote(t.Name)
	if err := s.selectable(ctx, "1", table); err != nil {
		return fmt.Errorf("gormstore: table %s does not exist: %w", t.Name, err)
	}
	var missing []string
	var cause error
	for _, c := range t.Columns {
		if err := s.selectable(ctx, "t."+s.dialect.quote(c), table+" t"); err != nil {
			missing, cause = append(missing, c), err
		}
	}
	if cause != nil {
		return fmt.Errorf("gormstore: table %s lacks columns %s: %w", t.Name, strings.Join(missing, ", "), cause)
	}
	return nil
}
