package comparison

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/mattn/go-sqlite3"
)

// connector opens SQLite connections that count statements, except BEGIN and COMMIT.
type connector struct {
	dsn string
	n   *atomic.Int64
}

func (c connector) Driver() driver.Driver { return new(sqlite3.SQLiteDriver) }
func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return counting{conn.(*sqlite3.SQLiteConn), c.n}, nil
}

type counting struct {
	*sqlite3.SQLiteConn
	n *atomic.Int64
}

func (c counting) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.n.Add(1)
	return c.SQLiteConn.QueryContext(ctx, q, args)
}

func (c counting) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.n.Add(1)
	return c.SQLiteConn.ExecContext(ctx, q, args)
}

func (c counting) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s, err := c.SQLiteConn.PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	return prepared{s.(*sqlite3.SQLiteStmt), c.n}, nil
}

type prepared struct {
	*sqlite3.SQLiteStmt
	n *atomic.Int64
}

func (s prepared) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.n.Add(1)
	return s.SQLiteStmt.QueryContext(ctx, args)
}

func (s prepared) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.n.Add(1)
	return s.SQLiteStmt.ExecContext(ctx, args)
}

// tracer counts the statements sent to PostgreSQL.
type tracer struct{ n *atomic.Int64 }

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	switch word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(q.SQL)), " "); word {
	case "begin", "commit", "rollback":
	default:
		t.n.Add(1)
	}
	return ctx
}

func (t tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
