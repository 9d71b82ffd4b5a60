package gormstore_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// killAt, if the environment has it, makes the test binary a program that migrates and is killed. It
// has the number of a statement and the database.
const killAt = "GORMSTORE_KILL_AT"

func openKind(kind, where string) (*gormstore.Store, error) {
	if kind == "postgres" {
		return postgres.Open(where, &patient)
	}
	return sqlite.Open(where, &patient)
}

// A program that is killed in the middle of a migration, wherever that is, leaves a database that the
// next one migrates to the same schema.
func TestKilledMigration(t *testing.T) {
	if at := os.Getenv(killAt); at != "" {
		number, database, _ := strings.Cut(at, " ")
		kind, where, _ := strings.Cut(database, " ")
		n, err := strconv.Atoi(number)
		must(t, err)
		s, err := openKind(kind, where)
		must(t, err)
		s.Migrating(func(string) {
			if n--; n == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		})
		t.Fatal("not killed: ", s.Migrate(t.Context()))
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run("attack_226/"+kind, func(t *testing.T) {
			database := func() string {
				if kind == "postgres" {
					return pgtest.URL(t)
				}
				return filepath.Join(t.TempDir(), "db")
			}
			all, err := gormstore.Statements(kind)
			must(t, err)
			last := 0
			for _, m := range all {
				last += len(m)
			}
			whole := opened(t)(openKind(kind, database()))
			must(t, whole.MigrateSchema(t.Context()))
			want := schemaOf(t, kind, whole)
			for _, n := range []int{1, 2, last / 3, last / 2, last - 4, last - 2, last - 1, last} {
				where := database()
				cmd := exec.Command(os.Args[0], "-test.run=^TestKilledMigration$")
				cmd.Env = append(os.Environ(), fmt.Sprint(killAt, "=", n, " ", kind, " ", where))
				out, err := cmd.CombinedOutput()
				if cmd.ProcessState == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("statement %d: %v\n%s", n, err, out)
				}
				s := opened(t)(openKind(kind, where))
				if err := s.MigrateSchema(t.Context()); err != nil {
					t.Errorf("after statement %d: %v", n, err)
				} else if got := schemaOf(t, kind, s); got != want {
					t.Errorf("after statement %d the schema differs:\n%s\nwant\n%s", n, got, want)
				}
			}
		})
	}
}

// The connection is cut at each step of a migration: it is an error, and the next call migrates.
func TestMigrationCut(t *testing.T) {
	whole := opened(t)(postgres.Open(pgtest.URL(t), &patient))
	must(t, whole.MigrateSchema(t.Context()))
	want := schemaOf(t, "postgres", whole)
	for _, x := range []struct {
		at    string
		after bool
	}{
		{"pg_advisory_xact_lock(78", false}, {"INSERT INTO vestibule_locks", true}, {"SET LOCAL lock_timeout", false},
		{"vestibule_bus_pending (", true}, {"c.reloptions", false}, {"(18, 'replicas'", true}, {"COMMIT\x00", false}, {"COMMIT\x00", true},
	} {
		t.Run(fmt.Sprintf("attack_226/%s after %t", strings.Trim(x.at, "\x00 "), x.after), func(t *testing.T) {
			url := pgtest.URL(t)
			p, slow := through(t, url)
			s := opened(t)(postgres.Open(slow, &patient))
			must(t, s.Ping(t.Context()))
			p.set(0, x.at, x.after)
			err := s.MigrateSchema(t.Context())
			if p.cut() != 1 || err == nil {
				t.Errorf("cut %d times, and the caller was told %v", p.cut(), err)
			}
			s = opened(t)(postgres.Open(url, &patient))
			must(t, s.MigrateSchema(t.Context()))
			if got := schemaOf(t, "postgres", s); got != want {
				t.Errorf("the schema differs:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// schemaOf is everything in a database that migrations make.
func schemaOf(t *testing.T, kind string, s *gormstore.Store) (text string) {
	t.Helper()
	query := `SELECT group_concat(x, char(10)) FROM (SELECT name || ' ' || COALESCE(sql, '') AS x FROM sqlite_master UNION ALL SELECT version || name FROM vestibule_migrations ORDER BY 1)`
	if kind == "postgres" {
		query = `SELECT string_agg(x, E'\n' ORDER BY x) FROM (
			SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '') AS x FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
			UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
			UNION ALL SELECT proname || md5(prosrc) || prosecdef FROM pg_proc WHERE pronamespace = CAST('public' AS REGNAMESPACE)
			UNION ALL SELECT relname || CAST(reloptions AS TEXT) FROM pg_class WHERE relnamespace = CAST('public' AS REGNAMESPACE) AND reloptions IS NOT NULL
			UNION ALL SELECT version || name FROM vestibule_migrations) all_of_it`
	}
	must(t, s.DB(t.Context()).Raw(query).Scan(&text).Error)
	if len(text) < 1000 {
		t.Fatal("no schema:", text)
	}
	return text
}
