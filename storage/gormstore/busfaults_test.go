package gormstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// recorder is a follower that notes what it is told.
type recorder struct {
	changes chan bus.Change // nil: not of interest
	flushes chan struct{}
	proofs  chan struct{}
	told    bool
}

func newRecorder() *recorder {
	return &recorder{make(chan bus.Change, 1000), make(chan struct{}, 1000), make(chan struct{}, 1000), false}
}

func (r *recorder) Apply(list ...bus.Change) {
	for _, c := range list {
		r.changes <- c
	}
}
func (r *recorder) FlushAll()              { r.flushes <- struct{}{} }
func (r *recorder) AccountsTold(told bool) { r.told = told }
func (r *recorder) Prove(question func() error) error {
	err := question()
	if err == nil {
		select {
		case r.proofs <- struct{}{}:
		default:
		}
	}
	return err
}

// next waits for something.
func next[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
	}
	return v
}

// following lets a courier run with a recorder, and returns a channel with the error that ends it.
func following(t *testing.T, c bus.Courier) (*recorder, <-chan error) {
	t.Helper()
	r := newRecorder()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended, done := make(chan error, 1), make(chan struct{})
	go func() { defer close(done); ended <- c.Follow(ctx, r) }()
	t.Cleanup(func() { stop(); <-done })
	return r, ended
}

// The network holds all bytes, or the other side sleeps: nothing fails, and nothing arrives.
func TestHalfOpen(t *testing.T) {
	eachCourier(t, func(t *testing.T, courier, url string) {
		t.Run("edge_A16/attack_431", func(t *testing.T) {
			p, through := through(t, url)
			// The outbox is polled by the store's own connections, messages have their own.
			store, listen := url, through
			if courier == gormstore.CourierOutbox {
				store, listen = through, ""
			}
			opts := &gormstore.Options{Timeout: time.Second}
			r := follow(t, courier, store, listen, opts)
			other := opened(t)(postgres.Open(url, &patient))
			h := hold(t, other, "id")
			until(t, "a lease", r.leased)
			pass := p.hold()
			held := time.Now()
			must(t, accountDisabled(t.Context(), other, h))
			acknowledged := time.Now()
			until(t, "the lease ends", func() bool {
				asked := time.Now()
				if r.leased() && asked.Sub(held) > bus.Bound {
					t.Fatalf("a lease %v after the silence began", asked.Sub(held))
				}
				return !r.leased()
			})
			until(t, "the bound has passed", func() bool { return time.Since(acknowledged) > bus.Bound })
			if ok, _ := accepts["static"](t.Context(), r, h); ok { // a look-up through the proxy fails
				t.Error("accepted while nothing arrives")
			}
			pass()
			until(t, "the lease is back", r.leased)
			if ok, err := accepts["static"](t.Context(), r, h); ok || err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("after it: %t, %v", ok, err)
			}
		})
	})
}

func accountDisabled(ctx context.Context, s *gormstore.Store, h holding) error {
	return s.SetActive(ctx, h.id, false)
}

// Messages do not pass a pooler in transaction mode, another database has others, and a standby server
// has those of the past.
func TestListenProof(t *testing.T) {
	direct := storetest.URL(t)
	pooled := withMode(pgtest.Bouncer(t, direct), "exec")
	db := migrated(t, opened(t)(postgres.Open(pooled, &patient)))
	t.Run("edge_C01/listen_url", func(t *testing.T) {
		c, err := postgres.NewNotify(t.Context(), db, &postgres.NotifyOptions{ListenURL: direct})
		must(t, err)
		r, _ := following(t, c)
		next(t, r.proofs)
		if !r.told {
			t.Error("vestibule_users has triggers")
		}
	})
	elsewhere := storetest.URL(t)
	other := migrated(t, opened(t)(postgres.Open(elsewhere, &patient)))
	must(t, other.SetCourier(t.Context(), gormstore.CourierNotify))
	for what, c := range map[string]struct{ listen, says string }{
		"edge_C01/the_store_s_own_url": {"", "ListenURL"},
		"edge_C01/pooler":              {pooled, "ListenURL"},
		"attack_432/another_database":  {elsewhere, "another database"},
		"attack_227/standby":           {standby(t, direct), "standby"},
	} {
		t.Run(what, func(t *testing.T) {
			n, err := postgres.NewNotify(t.Context(), db, &postgres.NotifyOptions{ListenURL: c.listen})
			must(t, err)
			r, ended := following(t, n)
			if err := next(t, ended); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error that says %q", err, c.says)
			}
			if len(r.proofs) > 0 {
				t.Error("it proved something")
			}
		})
	}
	t.Run("edge_C01/outbox", func(t *testing.T) {
		must(t, db.SetCourier(t.Context(), gormstore.CourierOutbox))
		r := follow(t, gormstore.CourierOutbox, pooled, "", &patient)
		h := hold(t, db, "id")
		until(t, "a lease", r.leased)
		if ok, err := accepts["static"](t.Context(), r, h); !ok || err != nil {
			t.Error(ok, err)
		}
		_, err := db.BumpEpoch(t.Context(), h.id)
		must(t, err)
		until(t, "it ends", func() bool { ok, _ := accepts["static"](t.Context(), r, h); return !ok })
	})
}

// standby returns a URL whose connections say that they lead to a standby server.
func standby(t *testing.T, direct string) string {
	t.Helper()
	db := opened(t)(postgres.Open(direct, &patient))
	runSQL(t, db, "CREATE SCHEMA IF NOT EXISTS elsewhere")
	t.Cleanup(func() { _ = db.DB(context.Background()).Exec("DROP SCHEMA elsewhere CASCADE").Error })
	runSQL(t, db, "CREATE OR REPLACE FUNCTION elsewhere.pg_is_in_recovery() RETURNS BOOLEAN LANGUAGE sql AS 'SELECT TRUE'")
	u, err := url.Parse(direct)
	must(t, err)
	q := u.Query()
	q.Set("search_path", "elsewhere,public,pg_catalog")
	q.Set("target_session_attrs", "any")
	u.RawQuery = q.Encode()
	return u.String()
}

// A proxy that sends reads to a standby server: what such a server answers is not kept, since the
// message that revoked it may have been applied already.
func TestAnswersOfAStandby(t *testing.T) {
	direct := storetest.URL(t)
	db := migrated(t, opened(t)(postgres.Open(direct, &patient)))
	h := hold(t, db, "id")
	past := standby(t, direct)
	lagging := opened(t)(postgres.Open(past, &patient))
	for kind, good := range accepts {
		t.Run("attack_227_"+kind, func(t *testing.T) {
			if ok, err := good(t.Context(), db, h); !ok || err != nil {
				t.Errorf("by the primary: %t, %v", ok, err)
			}
			if ok, err := good(t.Context(), lagging, h); ok && kind != "nothing-granted" || err == nil || errors.Is(err, storage.ErrNotFound) {
				t.Errorf("by a standby: %t, %v, want an error", ok, err)
			}
		})
	}
	if _, err := lagging.UserByID(t.Context(), h.id); err == nil {
		t.Error("an account by a standby")
	}
	t.Run("attack_227_connection", func(t *testing.T) { // without the parameter it does not even connect
		s := opened(t)(postgres.Open(strings.Replace(past, "target_session_attrs=any", "", 1), &patient))
		if err := s.Ping(t.Context()); err == nil {
			t.Error("connected to a standby server")
		}
	})
	t.Run("attack_227_outbox", func(t *testing.T) {
		must(t, db.SetCourier(t.Context(), gormstore.CourierOutbox))
		c, err := gormstore.NewOutbox(t.Context(), lagging, nil)
		must(t, err)
		r, ended := following(t, c)
		if err := next(t, ended); err == nil || !strings.Contains(err.Error(), "standby") || len(r.proofs) > 0 {
			t.Error(err, len(r.proofs))
		}
	})
}

// After a fail-over that lost commits, or a restored backup, numbers go back, and new messages may have
// them again.
func TestHistories(t *testing.T) {
	db := migrated(t, opened(t)(postgres.Open(storetest.URL(t), &patient)))
	c, err := gormstore.NewOutbox(t.Context(), db, &gormstore.OutboxOptions{Poll: 25 * time.Millisecond})
	must(t, err)
	const tag = "UPDATE vestibule_bus_shards SET tag = gen_random_uuid()"
	// Where numbers went back, there are messages with the next ones.
	const instead = " ON CONFLICT (shard, seq) DO UPDATE SET prev = EXCLUDED.prev, tag = EXCLUDED.tag, change = EXCLUDED.change, us = EXCLUDED.us"
	for what, steps := range map[string][]string{
		"number_goes_back":   {"UPDATE vestibule_bus_shards SET seq = seq - 3"},
		"same_number_again":  {tag},
		"further_than_known": {tag + ", seq = seq + 1", "INSERT INTO vestibule_outbox SELECT shard, seq, gen_random_uuid(), tag, 'subject x', 0 FROM vestibule_bus_shards" + instead},
		"messages_deleted":   {"UPDATE vestibule_bus_shards SET prev = tag, tag = gen_random_uuid(), seq = seq + 2", "INSERT INTO vestibule_outbox SELECT shard, seq, prev, tag, 'subject x', 0 FROM vestibule_bus_shards" + instead},
		"shard_is_gone":      {"DELETE FROM vestibule_bus_shards"},
		"too_many":           {"UPDATE vestibule_bus_shards SET seq = seq + 100000"},
	} {
		t.Run("attack_432_"+what, func(t *testing.T) {
			for range 40 { // messages in every shard
				_, err := db.BumpEpoch(t.Context(), "id")
				must(t, err)
			}
			r, ended := following(t, c)
			next(t, r.proofs)
			next(t, r.proofs)
			if len(r.flushes) > 0 {
				t.Fatal("flushed without a reason")
			}
			must(t, db.InTx(t.Context(), func(ctx context.Context) error {
				for _, q := range steps {
					if err := db.DB(ctx).Exec(q).Error; err != nil {
						return err
					}
				}
				return nil
			}))
			next(t, r.flushes)
			_, err := db.BumpEpoch(t.Context(), "after")
			must(t, err)
			for next(t, r.changes).Subject != "after" { // and goes on from there
			}
			select {
			case err := <-ended:
				t.Error(err)
			default:
			}
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		r, _ := following(t, c)
		next(t, r.proofs)
		runSQL(t, db, "INSERT INTO vestibule_bus_pending (change) VALUES ('v2 something')")
		if got := next(t, r.changes); !got.All {
			t.Errorf("%+v, want everything", got)
		}
	})
	t.Run("old messages", func(t *testing.T) {
		runSQL(t, db, "UPDATE vestibule_outbox SET us = 0")
		r, _ := following(t, c)
		until(t, "they are deleted", func() bool {
			var n int
			must(t, db.DB(t.Context()).Raw("SELECT count(*) FROM vestibule_outbox").Scan(&n).Error)
			return n == 0
		})
		_, err := db.BumpEpoch(t.Context(), "later")
		must(t, err)
		for next(t, r.changes).Subject != "later" {
		}
		if len(r.flushes) > 0 {
			t.Error("a reader that is up to date flushed")
		}
	})
}

// The triggers write the messages of one courier, so a process with another one would hear nothing.
func TestOneCourier(t *testing.T) {
	eachCourier(t, func(t *testing.T, courier, url string) {
		other := gormstore.CourierNotify
		if courier == other {
			other = gormstore.CourierOutbox
		}
		t.Run("attack_432_another_courier", func(t *testing.T) {
			db := migrated(t, opened(t)(postgres.Open(url, &patient)))
			r := follow(t, courier, url, "", &patient)
			until(t, "a lease", r.leased)
			if _, err := couriers[other](t.Context(), db, ""); !errors.Is(err, gormstore.ErrCourier) || !strings.Contains(err.Error(), "vestibule courier "+other) {
				t.Errorf("%v, want ErrCourier that says what to do", err)
			}
			if name, err := db.Courier(t.Context()); name != courier || err != nil {
				t.Error(name, err)
			}
			must(t, db.SetCourier(t.Context(), other))
			changed := time.Now()
			until(t, "the lease ends", func() bool {
				asked := time.Now()
				if leased := r.leased(); leased && asked.Sub(changed) > bus.Bound {
					t.Fatalf("a lease %v after the courier was changed", asked.Sub(changed))
				} else {
					return !leased
				}
				return false
			})
			must(t, db.SetCourier(t.Context(), courier))
			c, err := couriers[courier](t.Context(), db, "")
			must(t, errors.Join(err, db.SetCourier(t.Context(), gormstore.CourierNone)))
			if _, ended := following(t, c); !errors.Is(next(t, ended), gormstore.ErrCourier) {
				t.Error("no error after it was switched off")
			}
			if name, err := db.Courier(t.Context()); name != gormstore.CourierNone || err != nil {
				t.Error("a running process switched it on again:", name, err)
			}
			must(t, db.SetCourier(t.Context(), courier))
			until(t, "the lease is back", r.leased)
		})
		t.Run("attack_432_missing_trigger", func(t *testing.T) {
			db := migrated(t, opened(t)(postgres.Open(pgtest.URL(t), &patient)))
			runSQL(t, db, "ALTER TABLE vestibule_sessions DISABLE TRIGGER vestibule_bus_delete")
			runSQL(t, db, "DROP TRIGGER vestibule_bus_update ON vestibule_users")
			_, err := couriers[courier](t.Context(), db, "")
			for _, says := range []string{"vestibule_bus_delete on vestibule_sessions", "vestibule_bus_update on vestibule_users"} {
				if !errors.Is(err, gormstore.ErrCourier) || !strings.Contains(err.Error(), says) {
					t.Errorf("%v, want ErrCourier that says %q", err, says)
				}
			}
		})
	})
	file := migrated(t, opened(t)(sqlite.Open(t.TempDir()+"/db", nil)))
	for name, c := range couriers {
		if _, err := c(t.Context(), file, ""); !errors.Is(err, gormstore.ErrCourier) {
			t.Errorf("%s with SQLite: %v", name, err)
		}
	}
	if err := file.SetCourier(t.Context(), gormstore.CourierOutbox); !errors.Is(err, gormstore.ErrCourier) {
		t.Error(err)
	}
	if name, err := file.Courier(t.Context()); name != gormstore.CourierNone || err != nil {
		t.Error(name, err)
	}
	db := migrated(t, opened(t)(postgres.Open(storetest.URL(t), nil)))
	if err := db.SetCourier(t.Context(), "pigeon"); !errors.Is(err, gormstore.ErrCourier) {
		t.Error(err)
	}
	for _, d := range []time.Duration{-1, time.Millisecond, time.Second} {
		if _, err := gormstore.NewOutbox(t.Context(), db, &gormstore.OutboxOptions{Poll: d}); err == nil {
			t.Errorf("Poll %v is accepted", d)
		}
	}
	empty := opened(t)(postgres.Open(pgtest.URL(t), nil))
	if _, err := gormstore.NewOutbox(t.Context(), empty, nil); !errors.Is(err, gormstore.ErrCourier) {
		t.Error("an empty database:", err)
	}
}

// A transaction that runs while the first courier is set commits before that, or with a message.
func TestFirstCourierWaits(t *testing.T) {
	db := migrated(t, opened(t)(postgres.Open(storetest.URL(t), &patient)))
	revoked, commit, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.InTx(t.Context(), func(ctx context.Context) error {
			_, err := db.BumpEpoch(ctx, "id")
			close(revoked)
			<-commit
			return err
		})
	}()
	<-revoked
	set := make(chan error, 1)
	go func() { set <- db.SetCourier(t.Context(), gormstore.CourierOutbox) }()
	until(t, "it waits for the transaction", func() bool {
		var n int
		must(t, db.DB(t.Context()).Raw("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'vestibule_bus'::regclass").Scan(&n).Error)
		return n == 1
	})
	close(commit)
	must(t, errors.Join(<-ended, <-set))
}

// If the pool connects to another server, the connection for messages is proved again, by a message
// through the pool; and the outbox begins again.
func TestServerChanges(t *testing.T) {
	direct := storetest.URL(t)
	var changes atomic.Uint64
	db := migrated(t, opened(t)(postgres.Open(direct, &gormstore.Options{Timeout: time.Minute, ServerChanges: changes.Load})))
	t.Run("attack_432_another_server", func(t *testing.T) {
		c, err := postgres.NewNotify(t.Context(), db, nil)
		must(t, err)
		listener, err := pgx.Connect(t.Context(), direct)
		must(t, err)
		defer listener.Close(context.Background())
		_, err = listener.Exec(t.Context(), "LISTEN vestibule_proof")
		must(t, err)
		r, _ := following(t, c)
		for range 2 {
			_, err = listener.WaitForNotification(t.Context())
			must(t, err)
			next(t, r.proofs)
			next(t, r.proofs)
			changes.Add(1)
		}
		must(t, db.SetCourier(t.Context(), gormstore.CourierOutbox))
		o, err := gormstore.NewOutbox(t.Context(), db, nil)
		must(t, err)
		r, ended := following(t, o)
		next(t, r.proofs)
		changes.Add(1)
		if err := next(t, ended); !strings.Contains(err.Error(), "another server") {
			t.Error(err)
		}
	})
}

// A transaction whose snapshot is older than the courier would not see it, so it fails and is repeated.
func TestOldSnapshots(t *testing.T) {
	for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
		t.Run("attack_432_"+strings.ReplaceAll(level.String(), " ", "_"), func(t *testing.T) {
			db := migrated(t, opened(t)(postgres.Open(pgtest.URL(t), &patient)))
			tx := db.DB(t.Context()).Begin(&sql.TxOptions{Isolation: level})
			defer tx.Rollback()
			must(t, errors.Join(tx.Error, tx.Exec("SELECT 1").Error))
			must(t, db.SetCourier(t.Context(), gormstore.CourierOutbox))
			_, err := db.BumpEpoch(db.WithTx(t.Context(), tx), "id")
			var state interface{ SQLState() string }
			if !errors.As(err, &state) || state.SQLState() != "40001" {
				t.Errorf("%v, want a serialization failure", err)
			}
		})
	}
}

// An application's own table, and a program that has rights on that alone.
func TestAccountTriggers(t *testing.T) {
	ctx := t.Context()
	direct := pgtest.URL(t)
	mapped := func(change func(*gormstore.UserTable), opts ...string) *gormstore.Store {
		o := spaceOf("app.people", "staff")
		o.Users.Email = "mail"
		if change != nil {
			change(o.Users)
		}
		return opened(t)(postgres.Open(direct, o))
	}
	db := mapped(nil)
	runSQL(t, db, "CREATE SCHEMA app")
	runSQL(t, db, `CREATE TABLE app.people (id BIGINT PRIMARY KEY, login TEXT UNIQUE NOT NULL, hash TEXT NOT NULL DEFAULT '', mail TEXT, active BOOLEAN NOT NULL DEFAULT TRUE,
		deleted_at TIMESTAMPTZ, last_login TIMESTAMPTZ, prefs JSON)`)
	runSQL(t, db, "INSERT INTO app.people (id, login, prefs) SELECT i, 'p' || i, '{}' FROM generate_series(1, 9) i")
	migrated(t, db)
	must(t, db.SetCourier(ctx, gormstore.CourierOutbox))
	is := func(what string, s *gormstore.Store, want bool) {
		t.Helper()
		if got, err := s.AccountsTold(ctx); got != want || err != nil {
			t.Errorf("%s: told %t, %v, want %t", what, got, err, want)
		}
	}
	t.Run("attack_427_coverage", func(t *testing.T) {
		is("without triggers", db, false)
		must(t, errors.Join(db.MigrateTriggers(ctx), db.MigrateTriggers(ctx)))
		is("with triggers", db, true)
		is("another column", mapped(func(u *gormstore.UserTable) { u.Roles = "last_login" }), false)
		plain := func(u *gormstore.UserTable) { u.Active = "deleted_at IS NULL AND NOT (active = FALSE)" }
		is("an expression", mapped(plain), false)
		runSQL(t, db, "ALTER TABLE app.people DISABLE TRIGGER vestibule_bus_delete")
		is("a disabled trigger", db, false)
		runSQL(t, db, "ALTER TABLE app.people ENABLE TRIGGER vestibule_bus_delete")
		is("a trigger that logical replication skips", db, false)
		must(t, mapped(plain).MigrateTriggers(ctx))
		is("the whole row", mapped(plain), true)
		is("the whole row", db, true)
		for _, active := range []string{"deleted_at IS NULL OR deleted_at > now()", "(SELECT TRUE)", "deleted_at < CURRENT_TIMESTAMP", "deleted_at <> 'today'", "login <> USER", "allowed(id)", "active::BOOLEAN"} {
			is(active, mapped(func(u *gormstore.UserTable) { u.Active = active }), false)
		}
		is("roles of other rows", mapped(func(u *gormstore.UserTable) { u.RolesList = "'[]'" }), false)
		must(t, db.MigrateTriggers(ctx))
		tables, err := db.MigrateAllTriggers(ctx)
		if err != nil || !slices.Equal(tables, []string{"app.people"}) {
			t.Error(tables, err)
		}
		is("all tables", mapped(plain), true)
		runSQL(t, db, "CREATE TABLE app.more () INHERITS (app.people)")
		is("rows of a table that inherits", mapped(plain), false)
		runSQL(t, db, "DROP TABLE app.more")
		must(t, db.MigrateTriggers(ctx))
	})
	t.Run("attack_427_replicated", func(t *testing.T) {
		count := func() (n int) {
			must(t, db.DB(ctx).Raw("SELECT count(*) FROM vestibule_outbox WHERE change = 'subject staff:5'").Scan(&n).Error)
			return n
		}
		before := count()
		must(t, db.InTx(ctx, func(ctx context.Context) error {
			return errors.Join(db.DB(ctx).Exec("SET LOCAL session_replication_role = replica").Error,
				db.DB(ctx).Exec("UPDATE app.people SET active = FALSE WHERE id = 5").Error,
				db.DB(ctx).Exec("SET LOCAL session_replication_role = origin").Error)
		}))
		if count() != before+1 {
			t.Errorf("%d messages, want one more than %d", count(), before)
		}
	})
	role := "r" + strings.ToLower(rand.Text())
	runSQL(t, db, "CREATE ROLE "+role+" LOGIN PASSWORD 'few'")
	t.Cleanup(func() {
		_ = db.DB(context.Background()).Exec("DROP OWNED BY " + role).Error
		_ = db.DB(context.Background()).Exec("DROP ROLE " + role).Error
	})
	runSQL(t, db, "GRANT USAGE ON SCHEMA app TO "+role)
	runSQL(t, db, "GRANT SELECT, UPDATE, DELETE, TRUNCATE ON app.people TO "+role)
	u, err := url.Parse(direct)
	must(t, err)
	u.User = url.UserPassword(role, "few")
	app := opened(t)(postgres.Open(u.String(), &patient))
	// Another table of that name in front of Vestibule's does not catch the messages.
	runSQL(t, app, "CREATE TEMP TABLE vestibule_bus (courier TEXT)")
	for what, c := range map[string]struct {
		by   string
		want []string
	}{
		"disabled":   {"UPDATE app.people SET active = FALSE WHERE id = 1", []string{"subject staff:1"}},
		"renamed":    {"UPDATE app.people SET id = 20 WHERE id = 2", []string{"subject staff:2", "subject staff:20"}},
		"deleted":    {"DELETE FROM app.people WHERE id = 3", []string{"subject staff:3"}},
		"last_login": {"UPDATE app.people SET last_login = now(), prefs = '[]'", nil},
		"truncated":  {"TRUNCATE app.people", []string{"all"}},
	} {
		t.Run("attack_427_"+what, func(t *testing.T) {
			runSQL(t, db, "DELETE FROM vestibule_outbox")
			runSQL(t, app, c.by)
			var got []string
			must(t, db.DB(ctx).Raw("SELECT change FROM vestibule_outbox ORDER BY change").Scan(&got).Error)
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			runSQL(t, db, "INSERT INTO app.people (id, login) SELECT i, 'p' || i FROM generate_series(1, 9) i ON CONFLICT DO NOTHING")
		})
	}
}

// A courier with the tables of Vestibule in a schema of their own, and a role without other rights.
func TestBusInAnotherSchema(t *testing.T) {
	eachCourier(t, func(t *testing.T, courier, _ string) {
		direct := pgtest.URL(t)
		owner := opened(t)(postgres.Open(direct, &patient))
		role := "r" + strings.ToLower(rand.Text())
		runSQL(t, owner, "CREATE SCHEMA auth")
		runSQL(t, owner, "CREATE ROLE "+role+" LOGIN PASSWORD 'few'")
		t.Cleanup(func() {
			_ = owner.DB(context.Background()).Exec("DROP OWNED BY " + role).Error
			_ = owner.DB(context.Background()).Exec("DROP ROLE " + role).Error
		})
		u, err := url.Parse(direct)
		must(t, err)
		q := u.Query()
		q.Set("search_path", "auth")
		u.RawQuery = q.Encode()
		db := migrated(t, opened(t)(postgres.Open(u.String(), &patient)))
		runSQL(t, db, "GRANT USAGE ON SCHEMA auth TO "+role)
		runSQL(t, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA auth TO "+role)
		u.User = url.UserPassword(role, "few")
		r := follow(t, courier, u.String(), direct, &patient) // whose search path is another one
		few := opened(t)(postgres.Open(u.String(), &patient))
		h := hold(t, few, "id")
		until(t, "a lease", r.leased)
		if ok, err := accepts["static"](t.Context(), r, h); !ok || err != nil {
			t.Error(ok, err)
		}
		_, err = few.BumpEpoch(t.Context(), h.id)
		must(t, err)
		until(t, "it ends", func() bool { ok, _ := accepts["static"](t.Context(), r, h); return !ok })
	})
}

// A courier delivers the changes of its own store, also through a type that embeds it.
func TestDelivers(t *testing.T) {
	db := migrated(t, opened(t)(postgres.Open(storetest.URL(t), &patient)))
	c, err := gormstore.NewOutbox(t.Context(), db, nil)
	must(t, err)
	type own struct{ *gormstore.Store }
	another := opened(t)(postgres.Open(storetest.URL(t), &patient))
	for want, stores := range map[bool][]any{true: {db, own{db}, &own{db}}, false: {another, own{another}, nil, fmt.Stringer(nil)}} {
		for _, s := range stores {
			if c.Delivers(s) != want {
				t.Errorf("%T: %t, want %t", s, !want, want)
			}
		}
	}
	if _, err := cached.New(another, &cached.Options{Courier: c}); err == nil {
		t.Error("the courier of another store is accepted")
	}
}
