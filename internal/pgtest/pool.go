package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// Pool gives each test a database with the tables that Prepare made and no rows, as if
// it were new. To make and drop one takes longer than most tests, so a database is used
// again where a test left nothing behind that cannot be emptied.
type Pool struct {
	// Prepare makes the tables of a new database.
	Prepare func(ctx context.Context, url string) error
	// Keep is the one table whose rows Prepare made. They stay.
	Keep string
	// Connect opens the connections to a database that Open returns. nil is sql.Open of pgx.
	Connect func(url string) (*sql.DB, error)
	// Wait is how long the connections of a test that has ended may go on working before its
	// database is dropped. 0 is 10 seconds.
	Wait time.Duration

	mu   sync.Mutex
	keep bool // Main runs, and drops what is free at the end
	free []*database
}

// database is one that no test uses.
type database struct {
	server, name, url string
	db                *sql.DB // a server process costs more than most tests, so these stay open
	made              string  // what is in it besides rows
	newest            int64   // the number of its newest table; those of tests are newer
}

// Main is the body of a TestMain: it keeps the databases until all tests have run, and
// drops them. Without it a database is dropped with its test.
func (p *Pool) Main(m *testing.M) (status int) {
	p.keep = true
	status = m.Run()
	if err := p.drain(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	return status
}

// Last keeps the databases until t ends, as Main does for all tests.
func (p *Pool) Last(t testing.TB) {
	p.keep = true
	t.Cleanup(func() {
		if err := p.drain(); err != nil {
			t.Error(err)
		}
	})
}

// connections is how many tests get, as many as those of postgres.Open.
const connections = 20

// Open returns connections to a database that no other test uses until this one ends. Tests
// use the same connections one after the other: one that changes the settings of a session, or
// the columns of a table, takes a URL. It skips or fails as the function URL does where there
// is no server.
func (p *Pool) Open(t testing.TB) *sql.DB {
	t.Helper()
	db := p.lend(t).db
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// URL is Open for a test with connections of its own.
func (p *Pool) URL(t testing.TB) string {
	t.Helper()
	return p.lend(t).url
}

func (p *Pool) lend(t testing.TB) *database {
	t.Helper()
	server := named(t)
	d := p.take()
	if d == nil {
		var err error
		if d, err = p.create(server); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		var err error
		if t.Failed() { // by a panic perhaps, and then Main does not go on
			err = errors.Join(d.drop(), p.drain())
		} else {
			err = p.put(d)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return d
}

func (p *Pool) take() *database {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return nil
	}
	d := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return d
}

// put takes a database back: emptied, or dropped where that is not enough.
func (p *Pool) put(d *database) error {
	if p.keep {
		wait := p.Wait
		if wait == 0 {
			wait = 10 * time.Second
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if d.empty(ctx, p.Keep) == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.free = append(p.free, d)
			return nil
		}
	}
	return d.drop()
}

// drain drops what is free.
func (p *Pool) drain() (err error) {
	for d := p.take(); d != nil; d = p.take() {
		err = errors.Join(err, d.drop())
	}
	return err
}

func (p *Pool) create(server string) (*database, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name, u, err := create(server)
	if err != nil {
		return nil, err
	}
	d := &database{server: server, name: name, url: u}
	connect := p.Connect
	if connect == nil {
		connect = func(url string) (*sql.DB, error) { return sql.Open("pgx", url) }
	}
	if d.db, err = connect(u); err == nil {
		if err = p.Prepare(ctx, u); err == nil {
			d.made, err = d.contents(ctx, p.Keep)
		}
		if err == nil {
			err = d.db.QueryRowContext(ctx, "SELECT MAX(oid)::bigint FROM pg_class").Scan(&d.newest)
		}
	}
	if err != nil {
		return nil, errors.Join(err, d.drop())
	}
	return d, nil
}

func (d *database) drop() error {
	if d.db != nil {
		d.db.Close()
	}
	return drop(d.server, d.name)
}

// empty brings the database back to what Prepare left, or returns an error.
func (d *database) empty(ctx context.Context, keep string) error {
	if err := d.alone(ctx); err != nil {
		return err
	}
	var tables sql.NullString
	err := d.db.QueryRowContext(ctx, "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind = 'r' AND oid::bigint > $1", d.newest).Scan(&tables)
	if err == nil && tables.Valid {
		_, err = d.db.ExecContext(ctx, "DROP TABLE "+tables.String+" CASCADE")
	}
	if err != nil {
		return err
	}
	made, err := d.contents(ctx, keep)
	if err != nil {
		return err
	}
	if made != d.made {
		return errors.New("a test changed the tables")
	}
	return d.emptyRows(ctx, keep)
}

// emptyRows deletes the rows of small tables and truncates large ones. TRUNCATE makes every server
// process forget what it knows of the table, which costs more than the test when twenty are kept.
func (d *database) emptyRows(ctx context.Context, keep string) error {
	const small = 1 << 20
	var deletes, truncates sql.NullString
	err := d.db.QueryRowContext(ctx, `SELECT string_agg('DELETE FROM ' || oid::regclass, '; ') FILTER (WHERE pg_relation_size(oid) <= $2),
			string_agg(oid::regclass::text, ', ') FILTER (WHERE pg_relation_size(oid) > $2) FROM pg_class
		WHERE relkind = 'r' AND oid >= 16384 AND oid <> $1::regclass AND pg_relation_size(oid) > 0`, keep, int64(small)).Scan(&deletes, &truncates)
	if err == nil && truncates.Valid {
		_, err = d.db.ExecContext(ctx, "TRUNCATE "+truncates.String+" CASCADE")
	}
	if err == nil && deletes.Valid { // in any order: no row of any table stays
		_, err = d.db.ExecContext(ctx, "BEGIN; SET LOCAL session_replication_role = replica; "+deletes.String+"; COMMIT")
	}
	if err == nil { // the record that a new database has: it knows all of its revocations
		_, err = d.db.ExecContext(ctx, `DO $$ BEGIN IF to_regclass('vestibule_changes') IS NOT NULL THEN
			INSERT INTO vestibule_changes (kind, id, us) VALUES ('since', '', 0) ON CONFLICT (kind, id) DO UPDATE SET us = 0; END IF; END $$`)
	}
	return err
}

// alone waits until the test's connections have ended at the server's side, and until those that
// stay open are idle. One that does not belongs to something that outlives its test and could
// write to the next one's rows.
func (d *database) alone(ctx context.Context) error {
	for {
		kept := d.db.Stats()
		busy := kept.InUse
		if busy == 0 {
			var all, working int
			err := d.db.QueryRowContext(ctx, `SELECT COUNT(*), COUNT(*) FILTER (WHERE state <> 'idle' AND pid <> pg_backend_pid()) FROM pg_stat_activity
				WHERE datname = current_database() AND backend_type = 'client backend'`).Scan(&all, &working)
			if err != nil {
				return err
			}
			busy = working + max(all-max(kept.OpenConnections, 1), 0)
		}
		if busy == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// contents sums up what a test may change besides rows, and the rows of keep: a change
// of any of it gives its row of the catalogue another xmin, or takes it away. TRUNCATE
// changes none of what is looked at.
func (d *database) contents(ctx context.Context, keep string) (sum string, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT md5(string_agg(x, ' ' ORDER BY x)) FROM (
		SELECT concat_ws(',', 'class', oid, relname, relnamespace, relkind, relpersistence, reloptions, relacl, relrowsecurity) FROM pg_class WHERE oid >= 16384
		UNION ALL SELECT concat_ws(',', 'column', attrelid, attnum, xmin) FROM pg_attribute WHERE attrelid >= 16384
		UNION ALL SELECT concat_ws(',', 'default', oid, xmin) FROM pg_attrdef
		UNION ALL SELECT concat_ws(',', 'constraint', oid, xmin) FROM pg_constraint WHERE oid >= 16384
		UNION ALL SELECT concat_ws(',', 'trigger', oid, xmin) FROM pg_trigger
		UNION ALL SELECT concat_ws(',', 'rule', oid, xmin) FROM pg_rewrite WHERE oid >= 16384
		UNION ALL SELECT concat_ws(',', 'function', oid, xmin) FROM pg_proc WHERE oid >= 16384
		UNION ALL SELECT concat_ws(',', 'type', oid, xmin) FROM pg_type WHERE oid >= 16384
		UNION ALL SELECT concat_ws(',', 'schema', oid, xmin) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
		UNION ALL SELECT concat_ws(',', 'setting', setrole, setconfig) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
		UNION ALL SELECT concat_ws(',', 'row', k) FROM `+keep+` k
	) all_of_it (x)`).Scan(&sum)
	return sum, err
}
