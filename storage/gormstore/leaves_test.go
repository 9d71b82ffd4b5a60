package gormstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// A client that leaves while its credential is looked up does not cost the pool a connection, which
// the driver closes if a query is cancelled.
func TestLeavingCostsNoConnection_attack_601(t *testing.T) {
	db, err := postgres.Open(pgtest.URL(t), nil)
	must(t, err)
	defer db.Close()
	must(t, db.Migrate(t.Context()))
	pool, err := db.DB(t.Context()).DB()
	must(t, err)
	pool.SetMaxOpenConns(3)
	blocker, err := pool.Conn(t.Context())
	must(t, err)
	defer blocker.Close()
	watcher, err := pool.Conn(t.Context())
	must(t, err)
	defer watcher.Close()
	backend := func() (pid int) {
		t.Helper()
		must(t, pool.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
		return pid
	}
	first := backend()
	for what, look := range map[string]func(context.Context) error{
		"a token": func(ctx context.Context) error {
			_, _, err := db.StaticTokenByDigest(ctx, storage.DigestOf("x"))
			return err
		},
		"a refresh":  func(ctx context.Context) error { _, err := db.RefreshByDigest(ctx, storage.DigestOf("x")); return err },
		"an account": func(ctx context.Context) error { _, err := db.UserByName(ctx, "alice"); return err },
		"a credential": func(ctx context.Context) error {
			_, _, err := db.CredentialByDigest(ctx, "knox", storage.DigestOf("x"))
			return err
		},
	} {
		_, err := blocker.ExecContext(t.Context(), "BEGIN; LOCK TABLE vestibule_users")
		must(t, err)
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- look(ctx) }()
		for n := 0; n == 0; {
			must(t, watcher.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'", first).Scan(&n))
			select {
			case err := <-ended:
				t.Fatalf("%s did not wait: %v", what, err)
			default:
			}
		}
		leave()
		for range 20 { // the driver would end the query in this moment
			n := 0
			must(t, watcher.QueryRowContext(t.Context(), "SELECT 1").Scan(&n))
		}
		_, err = blocker.ExecContext(t.Context(), "ROLLBACK")
		must(t, err)
		if err := <-ended; err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if pid := backend(); pid != first {
			t.Errorf("%s: the connection was closed", what)
			first = pid
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := db.UserByName(ctx, "alice"); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left before: %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
