package pgtest_test

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
)

var pool = pgtest.Pool{Keep: "kept", Prepare: func(ctx context.Context, url string) error {
	db, err := sql.Open("pgx", url)
	if err == nil {
		_, err = db.ExecContext(ctx, "CREATE TABLE kept (a TEXT); INSERT INTO kept VALUES ('made'); CREATE TABLE x (a BIGINT PRIMARY KEY, b TEXT); CREATE TABLE y (a BIGINT REFERENCES x)")
		db.Close()
	}
	return err
}}

func TestMain(m *testing.M) { os.Exit(pool.Main(m)) }

// What a test leaves behind is not there for the next one: rows go, and a database that
// has been changed otherwise goes as a whole.
func TestPool(t *testing.T) {
	for _, x := range []struct {
		leaves string
		again  bool // the next test may have the same database
	}{
		{"INSERT INTO x VALUES (1); INSERT INTO y VALUES (1)", true},
		{"", true},
		{"CREATE TEMPORARY TABLE z (a TEXT)", true},
		{"INSERT INTO kept VALUES ('another')", false},
		{`CREATE TABLE "Z" (a BIGSERIAL PRIMARY KEY)`, true},
		{"DROP TABLE y", false},
		{"ALTER TABLE x ADD c TEXT", false},
		{"ALTER TABLE x RENAME TO z", false},
		{"ALTER TABLE x ALTER b SET DEFAULT 'x'", false},
		{"ALTER TABLE x ADD CHECK (b <> 'x')", false},
		{"CREATE INDEX ON x (b)", false},
		{"CREATE VIEW z AS SELECT 1", false},
		{"CREATE SCHEMA z", false},
		{"CREATE FUNCTION z() RETURNS BIGINT LANGUAGE SQL AS 'SELECT 1'", false},
		{"DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET work_mem = 64'; END $$", false},
	} {
		var url string
		t.Run(x.leaves, func(t *testing.T) {
			url = pool.URL(t)
			db, err := sql.Open("pgx", url)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var rows, kept int
			if err := db.QueryRow("SELECT (SELECT COUNT(*) FROM x) + (SELECT COUNT(*) FROM y), (SELECT COUNT(*) FROM kept WHERE a = 'made')").Scan(&rows, &kept); err != nil || rows != 0 || kept != 1 {
				t.Errorf("%d rows, %d kept, %v", rows, kept, err)
			}
			if _, err := db.Exec(x.leaves); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("the next", func(t *testing.T) {
			if again := pool.URL(t) == url; again != x.again {
				t.Errorf("after %q the same database: %t, want %t", x.leaves, again, x.again)
			}
		})
	}
}

// Open gives one test after the other the same connections, and not while one still works.
func TestPoolConnections(t *testing.T) {
	pool := pgtest.Pool{Keep: pool.Keep, Prepare: pool.Prepare, Wait: 3 * time.Second}
	pool.Last(t)
	var first *sql.DB
	var pid int
	session := func(t *testing.T, db *sql.DB) (pid int) {
		t.Helper()
		if err := db.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Run("first", func(t *testing.T) {
		first = pool.Open(t)
		pid = session(t, first)
	})
	var tx *sql.Tx
	t.Run("second", func(t *testing.T) {
		db := pool.Open(t)
		if again := session(t, db); db != first || again != pid {
			t.Errorf("process %d serves the second test, %d the first", again, pid)
		}
		var err error
		if tx, err = db.Begin(); err == nil { // and never ends it
			_, err = tx.Exec("INSERT INTO x VALUES (1)")
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("third", func(t *testing.T) {
		if pool.Open(t) == first {
			t.Error("a test has the connections that another still uses")
		}
	})
	if err := tx.Commit(); err == nil {
		t.Error("what outlived its test wrote to the next one's database")
	}
}

// Two that are in use are two databases.
func TestPoolAtOnce(t *testing.T) {
	if one, two := pool.URL(t), pool.URL(t); one == two {
		t.Error("one database for two tests")
	}
}
