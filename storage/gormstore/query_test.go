package gormstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/http/httptest"
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

// connector opens SQLite connections that count what they are asked.
type connector struct {
	dsn     string
	queries *atomic.Int64
}

func (c connector) Driver() driver.Driver { return new(sqlite3.SQLiteDriver) }
func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return countingConn{conn.(*sqlite3.SQLiteConn), c.queries}, nil
}

type countingConn struct {
	*sqlite3.SQLiteConn
	queries *atomic.Int64
}

func (c countingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.queries.Add(1)
	return c.SQLiteConn.QueryContext(ctx, q, args)
}

func (c countingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.queries.Add(1)
	return c.SQLiteConn.ExecContext(ctx, q, args)
}

func (c countingConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s, err := c.SQLiteConn.PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	return countingStmt{s.(*sqlite3.SQLiteStmt), c.queries}, nil
}

type countingStmt struct {
	*sqlite3.SQLiteStmt
	queries *atomic.Int64
}

func (s countingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.queries.Add(1)
	return s.SQLiteStmt.QueryContext(ctx, args)
}

func (s countingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.queries.Add(1)
	return s.SQLiteStmt.ExecContext(ctx, args)
}

// An authenticated request costs one query, and a permission that is asked for one
// more, once.
func TestOneQuery(t *testing.T) {
	ctx := context.Background()
	var queries atomic.Int64
	pool := sql.OpenDB(connector{"file:" + filepath.Join(t.TempDir(), "db"), &queries})
	db, err := gorm.Open(gormsqlite.New(gormsqlite.Config{Conn: pool}), gormstore.Config())
	if err != nil {
		t.Fatal(err)
	}
	s := migrated(t, opened(t)(gormstore.Own(db, nil)))
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
	text, err := tokens.Token(ctx, "1", 0)
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
		u := id.User.(*storage.User)
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
