package gormstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mattn/go-sqlite3"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// connector opens SQLite connections that count what they are asked, and fail where
// fail, which may be nil, says so.
type connector struct {
	dsn     string
	queries *atomic.Int64
	fail    func(query string) error
}

func (c connector) Driver() driver.Driver { return new(sqlite3.SQLiteDriver) }
func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return countingConn{conn.(*sqlite3.SQLiteConn), c}, nil
}

func (c connector) ask(query string) error {
	c.queries.Add(1)
	if c.fail == nil {
		return nil
	}
	return c.fail(query)
}

type countingConn struct {
	*sqlite3.SQLiteConn
	c connector
}

func (c countingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.c.ask(q); err != nil {
		return nil, err
	}
	return c.SQLiteConn.QueryContext(ctx, q, args)
}

func (c countingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.c.ask(q); err != nil {
		return nil, err
	}
	return c.SQLiteConn.ExecContext(ctx, q, args)
}

func (c countingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.SQLiteConn.BeginTx(ctx, opts)
	return failingTx{tx, c.c}, err
}

// failingTx may fail to commit.
type failingTx struct {
	driver.Tx
	c connector
}

func (tx failingTx) Commit() error {
	if tx.c.fail != nil {
		if err := tx.c.fail("COMMIT"); err != nil {
			return errors.Join(err, tx.Tx.Rollback())
		}
	}
	return tx.Tx.Commit()
}

func (c countingConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s, err := c.SQLiteConn.PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	return countingStmt{s.(*sqlite3.SQLiteStmt), c.c, q}, nil
}

type countingStmt struct {
	*sqlite3.SQLiteStmt
	c     connector
	query string
}

func (s countingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.c.ask(s.query); err != nil {
		return nil, err
	}
	return s.SQLiteStmt.QueryContext(ctx, args)
}

func (s countingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.c.ask(s.query); err != nil {
		return nil, err
	}
	return s.SQLiteStmt.ExecContext(ctx, args)
}

// openCounting opens a store over a connector. It fails at nothing until armed: the
// schema is there already.
func openCounting(t *testing.T, queries *atomic.Int64, fail func(string) error) *gormstore.Store {
	t.Helper()
	armed := false
	pool := sql.OpenDB(connector{"file:" + (&url.URL{Path: filepath.Join(t.TempDir(), "db")}).EscapedPath() + "?_journal_mode=WAL", queries, func(q string) error {
		if fail == nil || !armed {
			return nil
		}
		return fail(q)
	}})
	db, err := gorm.Open(gormsqlite.New(gormsqlite.Config{Conn: pool}), gormstore.Config())
	if err != nil {
		t.Fatal(err)
	}
	s := migrated(t, opened(t)(gormstore.Own(db, nil)))
	armed = true
	return s
}

// An authenticated request costs one query, and a permission that is asked for one
// more, once.
func TestOneQuery(t *testing.T) {
	ctx := context.Background()
	var queries atomic.Int64
	s := openCounting(t, &queries, nil)
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.New(s, ring, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUser(ctx, storage.User{ID: "1", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	text, err := tokens.GetOrCreate(ctx, "1", 0)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Token "+text)
	if queries.Load() == 0 {
		t.Fatal("nothing was counted")
	}
	for range 3 {
		queries.Store(0)
		id, err := tokens.Authenticate(r)
		if n := queries.Load(); err != nil || n != 1 {
			t.Errorf("%d queries, %v", n, err)
		}
		u := id.User.(*storage.Account)
		for range 3 {
			if _, err := u.HasPerm(ctx, "app.x"); err != nil {
				t.Error(err)
			}
		}
		if n := queries.Load(); n != 2 {
			t.Errorf("%d queries with three permissions", n)
		}
	}
}
