package gormstore_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// additive are the forms of statements with which an older program goes on working, and which lock
// no table for longer than a moment. %s is a table that the same file creates.
var additive = []string{
	`^CREATE TABLE (IF NOT EXISTS )?vestibule_\w+ \(`,
	`^CREATE (UNIQUE )?INDEX \w+ ON (%s) `,
	`^ALTER TABLE vestibule_\w+ ADD COLUMN \w+ [A-Z]+( COLLATE "C")?( NOT NULL DEFAULT ('[^']*'|\d+|FALSE|TRUE)| DEFAULT ('[^']*'|\d+|FALSE|TRUE))?$`,
	`^INSERT INTO vestibule_migrations `,
}

// declared begins the comment of another statement. It says why an older program works beside it, and
// what it locks for how long.
const declared = "-- Beside older programs: "

// notAdditive returns the statements of a migration that are not additive and do not say why.
func notAdditive(statements []string) (bad []string) {
	created := []string{"no table"}
	for _, s := range statements {
		var code []string
		says := false
		for line := range strings.Lines(s) {
			if comment := strings.TrimSpace(line); strings.HasPrefix(comment, "--") {
				says = says || strings.HasPrefix(comment, declared) && len(comment) > len(declared)+20
			} else {
				code = append(code, strings.Fields(line)...)
			}
		}
		text := strings.Join(code, " ")
		if m := regexp.MustCompile(`^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`).FindStringSubmatch(text); m != nil {
			created = append(created, m[1])
		}
		found := says
		for _, form := range additive {
			if strings.Contains(form, "%s") {
				form = fmt.Sprintf(form, strings.Join(created, "|"))
			}
			found = found || regexp.MustCompile(form).MatchString(text)
		}
		if !found {
			bad = append(bad, text)
		}
	}
	return bad
}

// Between the migration and the start of the last new server, servers of the version before work with
// the new schema. So a migration adds things, or says why it harms nobody.
func TestMigrationsAreAdditive(t *testing.T) {
	const since = 18 // earlier ones are done
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run("attack_226/"+kind, func(t *testing.T) {
			all, err := gormstore.Statements(kind)
			must(t, err)
			for i, statements := range all[since-1:] {
				for _, s := range notAdditive(statements) {
					t.Errorf("migration %d: %s\nis not additive (begin a line of its comment with %q and the reason)", since+i, s, declared)
				}
			}
		})
	}
	for _, bad := range []string{
		"DROP TABLE vestibule_x", "ALTER TABLE vestibule_x DROP COLUMN a", "ALTER TABLE vestibule_x ADD COLUMN a TEXT NOT NULL",
		"ALTER TABLE vestibule_x ADD COLUMN a UUID DEFAULT gen_random_uuid()", "ALTER TABLE vestibule_x ADD CONSTRAINT c CHECK (a > 0)",
		"ALTER TABLE vestibule_x RENAME COLUMN a TO b", "CREATE INDEX i ON vestibule_sessions (a)", "CREATE UNIQUE INDEX i ON vestibule_sessions (a)",
		"UPDATE vestibule_sessions SET a = 1", "LOCK TABLE vestibule_sessions", "-- " + declared + "\nDROP TABLE vestibule_x",
		"ALTER TABLE vestibule_x ADD COLUMN a BIGINT REFERENCES vestibule_y (id)",
	} {
		if notAdditive([]string{bad}) == nil {
			t.Errorf("%q counts as additive", bad)
		}
	}
	if bad := notAdditive([]string{"-- Why.\nCREATE TABLE vestibule_x (\n\ta TEXT)", "CREATE INDEX i ON vestibule_x (a)", "ALTER TABLE vestibule_users ADD COLUMN a BIGINT NOT NULL DEFAULT 0"}); bad != nil {
		t.Error("not additive:", bad)
	}
	files, err := gormstore.Migrations("postgres")
	must(t, err)
	if names, err := fs.Glob(files, "*.sql"); err != nil || len(names) < 19 {
		t.Error(names, err)
	}
}
