package gormstore

import (
	"context"
	"fmt"
	"strings"
)

// Table is a table of somebody else in the database, as CheckSchema should find it.
type Table struct {
	// Name is the table's, with its schema where it needs one: "apikeys" or "app.apikeys".
	Name string
	// Columns are those that the program uses.
	Columns []string
}

// checkTables refuses names that could be anything but names, and those of this library.
func checkTables(list []Table) error {
	for _, t := range list {
		if !plainName.MatchString(t.Name) {
			return fmt.Errorf("gormstore: Options.Tables: %q is no table name (a-z, A-Z, 0-9 and _, with one dot at most)", t.Name)
		}
		if strings.HasPrefix(strings.ToLower(t.Name[strings.IndexByte(t.Name, '.')+1:]), "vestibule_") {
			return fmt.Errorf("gormstore: Options.Tables: %q: names that begin with vestibule_ belong to this library", t.Name)
		}
		if len(t.Columns) == 0 {
			return fmt.Errorf("gormstore: Options.Tables: %q has no columns to check", t.Name)
		}
		for _, c := range t.Columns {
			if !column.MatchString(c) {
				return fmt.Errorf("gormstore: Options.Tables: %q is no column name of %q (a-z, A-Z, 0-9 and _)", c, t.Name)
			}
		}
	}
	return nil
}

// checkTable reports a table that is missing, or the columns that it lacks.
func (s *Store) checkTable(ctx context.Context, t Table) error {
	table := s.dialect.quote(t.Name)
	if err := s.selectable(ctx, "1", table); err != nil {
		return fmt.Errorf("gormstore: table %s is not there: %w", t.Name, err)
	}
	var lacks []string
	var cause error
	for _, c := range t.Columns {
		if err := s.selectable(ctx, "t."+s.dialect.quote(c), table+" t"); err != nil {
			lacks, cause = append(lacks, c), err
		}
	}
	if cause != nil {
		return fmt.Errorf("gormstore: table %s lacks %s: %w", t.Name, strings.Join(lacks, ", "), cause)
	}
	return nil
}
