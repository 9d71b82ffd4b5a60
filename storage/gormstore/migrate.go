package gormstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

//go:embed migrations
var migrationFiles embed.FS

// ErrNewerSchema means that a newer program has migrated the database.
var ErrNewerSchema = errors.New("gormstore: database has a newer schema than this program supports")

// Migrations returns the SQL files for a dialect, "sqlite" or "postgres". Use it to migrate with
// your own tool: run 0001_core.up.sql and so on once, in order, each in one transaction. Each file
// records itself in the table vestibule_migrations, so that Schema, CheckSchema and Migrate
// recognize it. Then call RecordSpace, or Migrate, which finds the schema current.
func Migrations(dialect string) (fs.FS, error) {
	if _, err := dialectOf(dialect); err != nil {
		return nil, err
	}
	return fs.Sub(migrationFiles, "migrations/"+dialect)
}

// migration is one file.
type migration struct {
	version   int
	name      string
	statement []string
}

func (d dialect) String() string {
	if d == postgres {
		return "postgres"
	}
	return "sqlite"
}

func (d dialect) migrations() ([]migration, error) {
	dir := "migrations/" + d.String()
	files, err := migrationFiles.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, f := range files {
		text, err := migrationFiles.ReadFile(dir + "/" + f.Name())
		if err != nil {
			return nil, err
		}
		number, name, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".up.sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("gormstore: migration %s: %w", f.Name(), err)
		}
		all = append(all, migration{version, name, statements(string(text))})
	}
	slices.SortFunc(all, func(a, b migration) int { return a.version - b.version })
	return all, nil
}

// statements splits a file into statements, which end with a semicolon at the end of a line. The body
// of a function is between two $$ and may contain such lines.
func statements(text string) (all []string) {
	var one strings.Builder
	body := false
	add := func() {
		if s := strings.TrimSpace(one.String()); s != "" {
			all = append(all, s)
		}
		one.Reset()
	}
	for line := range strings.Lines(text) {
		if strings.Count(line, "$$")%2 == 1 {
			body = !body
		}
		if rest, ends := strings.CutSuffix(line, ";\n"); ends && !body {
			one.WriteString(rest)
			add()
			continue
		}
		one.WriteString(line)
	}
	add()
	return all
}

// Migrate migrates the database to the schema of this program and records the account table (see
// [Store.RecordSpace]). Several processes can call it concurrently: one migrates, and the others
// wait and find nothing left to do. If it fails, it changes nothing and can be called again.
//
// If the schema is current, Migrate only reads. Then a role with SELECT, INSERT, UPDATE and DELETE,
// or a read-only database, is sufficient. Otherwise the error names the missing privilege.
//
// It returns ErrNewerSchema if a newer program has migrated the database, and [ErrSpace] if the
// database has recorded another account table or another name space. In both cases it changes
// nothing.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.MigrateSchema(ctx); err != nil {
		return err
	}
	return s.RecordSpace(ctx)
}

// MigrateSchema is [Store.Migrate] without RecordSpace, for tools that do not know the account
// table.
func (s *Store) MigrateSchema(ctx context.Context) error {
	all, err := s.dialect.migrations()
	if err != nil {
		return err
	}
	have, want, err := s.Schema(ctx)
	switch {
	case err != nil:
		return s.missingRight("migrate", "SELECT on vestibule_migrations", err)
	case have > want:
		return fmt.Errorf("%w: version %d (this program knows up to %d)", ErrNewerSchema, have, want)
	case have == want:
		return nil
	}
	return s.missingRight(fmt.Sprintf("migrate from version %d to %d", have, want),
		"CREATE on the schema and ownership of the vestibule_ tables; run it as their owner, for example with \"vestibule migrate\"", s.migrate(ctx, all))
}

// missingRight adds the required privilege to a database error about missing privileges.
func (s *Store) missingRight(what, right string, err error) error {
	if err == nil || errors.Is(err, ErrSpace) || errors.Is(err, ErrNewerSchema) {
		return err
	}
	var state interface{ SQLState() string }
	code := ""
	if errors.As(err, &state) {
		code = state.SQLState()
	}
	switch {
	case code == "42501": // insufficient_privilege
		return fmt.Errorf("gormstore: %s: the database role lacks a right (%s): %w", what, right, err)
	case code == "25006", strings.Contains(err.Error(), "readonly database"): // read_only_sql_transaction
		return fmt.Errorf("gormstore: %s: the database, or this role's transactions, are read-only (it needs %s): %w", what, right, err)
	}
	return fmt.Errorf("gormstore: %s: %w", what, err)
}
