package gormstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// otherDialect is SQLite under another name.
type otherDialect struct{ gorm.Dialector }

func (otherDialect) Name() string { return "mysql" }

func TestNewRefuses(t *testing.T) {
	good := openMemory(t, nil).DB(context.Background())
	other, err := gorm.Open(otherDialect{gormsqlite.Open(":memory:")}, gormstore.Config())
	if err != nil {
		t.Fatal(err)
	}
	for what, open := range map[string]func() error{
		"a nil database": func() error { _, err := gormstore.New(nil, nil); return err },
		"mysql":          func() error { _, err := gormstore.New(other, nil); return err },
		"timeout":        func() error { _, err := gormstore.New(good, &gormstore.Options{Timeout: -1}); return err },
		"transaction": func() error {
			return good.Transaction(func(tx *gorm.DB) error { _, err := gormstore.New(tx, nil); return err })
		},
		"two slashes": func() error {
			_, err := byurl.Open("sqlite:/"+filepath.Join(t.TempDir(), "x"), nil)
			return err
		},
		"no path": func() error { _, err := sqlite.Open("", nil); return err },
		"sqlite: options": func() error {
			_, err := sqlite.Open(":memory:", &gormstore.Options{Timeout: -1})
			return err
		},
		"sqlite: a folder":  func() error { _, err := sqlite.Open(t.TempDir(), nil); return err },
		"sqlite: no folder": func() error { _, err := sqlite.Open(filepath.Join(t.TempDir(), "a", "b"), nil); return err },
		"postgres: options": func() error {
			_, err := postgres.Open("postgres://h/d", &gormstore.Options{Timeout: -1})
			return err
		},
	} {
		if err := open(); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestByURL(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "x y.db")
	for url, good := range map[string]bool{
		"sqlite:" + path: true, "sqlite::memory:": true, "postgres://u:hunter2@127.0.0.1:1/d": true, "postgresql://u:hunter2@127.0.0.1:1/d": true,
		"": false, "sqlite:": false, path: false, "mysql://u:hunter2@h/d": false, "u:hunter2@tcp(h)/d": false, "SQLITE:x": false,
		"postgres://u:hunter2@h:port/d": false, "postgres://u:hunter2@h/d?sslmode=nonsense": false, "postgres://u:hunter2@[h/d": false, "hunter2hunter2hunter2hunter2:x": false,
	} {
		s, err := byurl.Open(url, nil)
		if good != (err == nil) {
			t.Errorf("%q: %v", url, err)
		}
		if err != nil && !strings.Contains(url, ":") && !strings.Contains(err.Error(), "does not begin with a scheme (sqlite:PATH") {
			t.Errorf("%q: the error does not say that the scheme is missing: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
		if err != nil {
			continue
		}
		if err := s.Ping(ctx); strings.HasPrefix(url, "sqlite") != (err == nil) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: ping: %v", url, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%q: close: %v", url, err)
		}
		if err := s.Ping(ctx); err == nil {
			t.Errorf("%q: it answers after Close", url)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for url, want := range map[string]string{"sqlite:a": "a", "sqlite::memory:": "", "sqlite:": "", "postgres://h/d": ""} {
		if got, ok := byurl.SQLitePath(url); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t", url, got, ok)
		}
	}
}

// Two databases in memory are two databases, and each is gone after Close.
func TestMemory(t *testing.T) {
	ctx := context.Background()
	a, b := migrated(t, openMemory(t, nil)), migrated(t, openMemory(t, nil))
	furnish(t, a)
	if _, err := b.UserByID(ctx, "1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("one database sees the other's account: %v", err)
	}
	// A transaction that holds the only connection ends by itself.
	s := migrated(t, openMemory(t, &gormstore.Options{Timeout: 50 * time.Millisecond}))
	furnish(t, s)
	err := s.InTx(ctx, func(ctx context.Context) error {
		inside := make(chan error)
		go func() { _, err := s.UserByID(context.Background(), "1"); inside <- err }()
		if err := <-inside; err == nil {
			t.Error("a reader outside got through")
		}
		<-ctx.Done()
		return s.SetPassword(ctx, "1", "new")
	})
	if err == nil {
		t.Error("a transaction that took too long was acknowledged")
	}
	if u, err := s.UserByID(ctx, "1"); err != nil || u.Password != "old" {
		t.Errorf("afterwards: %+v, %v", u, err)
	}
}

// What a SQLite file needs to be safe is set on each of its connections.
func TestSQLiteSettings(t *testing.T) {
	ctx := context.Background()
	s := openSQLite(t, &gormstore.Options{Timeout: time.Second})
	pool, err := s.DB(ctx).DB()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		conn, err := pool.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() // at the end, so that they are three
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "900"} {
			var got string
			if err := conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, %v, want %q", pragma, got, err, want)
			}
		}
	}
}

// The application's gorm may log all it does; what the store does is not among it,
// since gorm logs parameters.
func TestNothingIsLogged(t *testing.T) {
	ctx := context.Background()
	var out bytes.Buffer
	cfg := &gorm.Config{PrepareStmt: true, Logger: logger.New(log.New(&out, "", 0), logger.Config{LogLevel: logger.Info, SlowThreshold: 1})}
	db, err := gorm.Open(gormsqlite.Open("file:"+filepath.Join(t.TempDir(), "db")+"?_journal_mode=WAL"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("SELECT 'the log works'").Error; err != nil || !strings.Contains(out.String(), "the log works") {
		t.Fatal("the application's log does not work")
	}
	out.Reset()
	s := migrated(t, opened(t)(gormstore.Own(db, nil)))
	furnish(t, s)
	err = s.InTx(ctx, func(ctx context.Context) error { return s.SetPassword(ctx, "1", "canary") })
	_, _, notFound := s.StaticTokenByDigest(ctx, storage.DigestOf("x"))
	_ = s.DB(ctx).Exec("SELECT 'canary' FROM nosuch").Error
	if err != nil || !errors.Is(notFound, storage.ErrNotFound) {
		t.Error(err, notFound)
	}
	if out.Len() != 0 {
		t.Errorf("logged: %s", out.String())
	}
}

// The epoch is the clock's, and grows where the clock stands or goes back.
func TestClock(t *testing.T) {
	ctx := context.Background()
	for kind, open := range databases {
		t.Run(kind, func(t *testing.T) {
			now := time.Unix(5000, 0)
			s := migrated(t, open(t, &gormstore.Options{Clock: func() time.Time { return now }}))
			var got []int64
			for _, d := range []time.Duration{0, 0, -time.Hour, time.Hour + time.Second, -6000 * time.Second} {
				now = now.Add(d)
				n, err := s.BumpEpoch(ctx, "1")
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if want := "[5000000000 5000000001 5000000002 5001000000 5001000001]"; fmt.Sprint(got) != want {
				t.Errorf("got %v, want %s", got, want)
			}
		})
	}
}
