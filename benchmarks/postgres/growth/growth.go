//go:build linux

// Package growth measures how long a lookup of a device token takes in tables of different sizes, on
// a PostgreSQL server that it starts. It needs Linux.
package growth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/benchmarks/postgres/machine"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// Options configure a run.
type Options struct {
	// Sizes are the numbers of device tokens, the smallest first.
	Sizes []int
	// Warm is how long a connection looks tokens up before the measurement, for each size.
	Warm time.Duration
	// Rounds is the number of rounds. In each one, every size gets a turn of the length Slot.
	Rounds int
	Slot   time.Duration
	// SharedBuffers is PostgreSQL's setting, such as "6GB". It must be larger than all tables.
	SharedBuffers string
	Progress      func(what string)
}

// tokensPerUser is how many device tokens a user has.
const tokensPerUser = 4

// table is a database with one number of tokens.
type table struct {
	store  *gormstore.Store
	sample *Sample
	n      int
}

// Run fills a database for each size, and looks tokens up by turns, over one connection each.
func Run(ctx context.Context, o Options) (r *Results, err error) {
	pg, err := machine.StartPostgreSQL(ctx, "shared_buffers="+o.SharedBuffers, "max_wal_size=8GB", "checkpoint_timeout=1h", "maintenance_work_mem=1GB", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off", "jit=off")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pg.Close()) }()
	r = &Results{
		Time: time.Now().UTC().Truncate(time.Second), Commit: machine.Commit(), Machine: machine.Describe(), Go: runtime.Version(), Load: machine.Load(),
		SharedBuffers: o.SharedBuffers, Warm: o.Warm.String(), Rounds: o.Rounds, Slot: o.Slot.String(),
	}
	if r.PostgreSQL, err = pg.Version(ctx); err != nil {
		return nil, err
	}
	var tables []*table
	for _, n := range o.Sizes {
		t, err := fill(ctx, pg, n, o.Progress)
		if err != nil {
			return nil, err
		}
		r.Samples = append(r.Samples, t.sample)
		tables = append(tables, t)
	}
	for _, t := range tables {
		o.Progress(fmt.Sprintf("warm %d", t.n))
		if _, err := t.look(ctx, o.Warm); err != nil {
			return nil, err
		}
	}
	r.LoadWarm = machine.Load()
	for round := range o.Rounds {
		for i := range tables {
			t := tables[(i+round)%len(tables)]
			o.Progress(fmt.Sprintf("round %d of %d: %d", round+1, o.Rounds, t.n))
			took, err := t.look(ctx, o.Slot)
			if err != nil {
				return nil, err
			}
			slices.Sort(took)
			at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Nanoseconds()) / 1000 }
			t.sample.P50, t.sample.P99 = append(t.sample.P50, at(0.5)), append(t.sample.P99, at(0.99))
		}
	}
	r.LoadAfter = machine.Load()
	return r, nil
}

// withoutIndexes drops the indexes of the tables, because a table without them fills much faster, and
// keeps their definitions. indexesAgain creates them, as the migrations did.
const (
	withoutIndexes = `CREATE TEMP TABLE dropped AS
		SELECT i.indrelid::regclass::text AS tab, i.indexrelid::regclass::text AS name, c.conname,
			COALESCE('ALTER TABLE ' || i.indrelid::regclass || ' ADD CONSTRAINT ' || c.conname || ' ' || pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid)) AS again
		FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
		WHERE i.indrelid IN ('vestibule_users'::regclass, 'vestibule_device_tokens'::regclass);
		DO $$ DECLARE d record; BEGIN
			FOR d IN SELECT * FROM dropped LOOP
				EXECUTE CASE WHEN d.conname IS NULL THEN 'DROP INDEX ' || d.name ELSE 'ALTER TABLE ' || d.tab || ' DROP CONSTRAINT ' || d.conname END;
			END LOOP;
		END $$`
	indexesAgain = `DO $$ DECLARE d record; BEGIN FOR d IN SELECT * FROM dropped LOOP EXECUTE d.again; END LOOP; END $$`
)

// fill creates a database with n tokens, and reads its tables into memory.
func fill(ctx context.Context, pg *machine.PostgreSQL, n int, progress func(string)) (*table, error) {
	progress(fmt.Sprintf("fill %d", n))
	name := fmt.Sprint("tokens", n)
	url, err := pg.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	store, err := postgres.Open(url, &gormstore.Options{Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	pool, err := store.DB(ctx).DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1) // the connection that is warmed is the one that is measured
	pool.SetMaxIdleConns(1)
	begin := time.Now()
	statements := []string{
		withoutIndexes,
		"BEGIN", "TRUNCATE vestibule_users, vestibule_device_tokens", // with wal_level=minimal, what follows is not logged
		fmt.Sprintf(`INSERT INTO vestibule_users (id, name, email, password, active, roles, created_us)
			SELECT 'user-' || i, 'user-' || i, '', '', true, '', 1 FROM generate_series(0, %d) i`, (n-1)/tokensPerUser),
		fmt.Sprintf(`INSERT INTO vestibule_device_tokens (digest, id, subject, name, scopes, epoch, created_us, expires_us, last_used_us, ttl_us, max_us)
			SELECT sha256(i::text::bytea), 'token-' || i, 'user-' || (i / %d), 'phone', 'read write', 0, 1, 4102444800000000, 1, 1, 1 FROM generate_series(0, %d) i`, tokensPerUser, n-1),
		"COMMIT", indexesAgain,
		"VACUUM (FREEZE, ANALYZE)", "CREATE EXTENSION pg_prewarm",
		"SELECT pg_prewarm(c.oid::regclass) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = 'public' AND c.relkind IN ('r', 'i')",
	}
	if err := pg.Do(ctx, name, statements...); err != nil {
		return nil, err
	}
	s := &Sample{Tokens: n, Filled: time.Since(begin).Round(time.Second).String()}
	s.Bytes, err = pg.Number(ctx, name, "SELECT (pg_total_relation_size('vestibule_device_tokens') + pg_total_relation_size('vestibule_users'))::float8")
	return &table{store, s, n}, err
}

// look looks random tokens up for a time, and returns how long each lookup took.
func (t *table) look(ctx context.Context, long time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	for begin := time.Now(); time.Since(begin) < long || len(took) == 0; {
		i := rand.IntN(t.n)
		digest := storage.DigestOf(fmt.Sprint(i))
		at := time.Now()
		st, _, err := t.store.CredentialByDigest(ctx, "knox", digest)
		took = append(took, time.Since(at))
		if err != nil {
			return nil, fmt.Errorf("token %d of %d: %w", i, t.n, err)
		}
		if want := fmt.Sprint("token-", i); st.ID != want {
			return nil, fmt.Errorf("token %d of %d: got %q", i, t.n, st.ID)
		}
	}
	return took, nil
}
