package authn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// The status of a handler's error: 503 for a dependency, 500 for a bug, 4xx for an *Error.
func TestRespondTellsFaultsFromBugs(t *testing.T) {
	dial := func(address string) error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
			return nil
		}
		return err
	}
	_, parse := url.Parse(fmt.Sprint("http://", "[x"))
	_, number := strconv.Atoi("x")
	_, absent := os.Open("/nowhere/at/all")
	_, request := http.Get("http://127.0.0.1:1/")
	var typedNil *authn.Error
	db := sql.OpenDB(deadConnector{})
	_, dead := db.Exec("x")
	db.Close()
	_, gone := db.Exec("x")
	for name, x := range map[string]struct {
		err  error
		want int
	}{
		"not found": {authn.NotFound(""), 404}, "nothing": {authn.ErrNoCredentials, 401}, "wrapped": {fmt.Errorf("x: %w", authn.NotFound("")), 404},

		"a bug": {errors.New("x"), 500}, "nil": {nil, 500}, "a typed nil": {typedNil, 500}, "a number": {number, 500}, "JSON": {json.Unmarshal([]byte("{"), new(map[string]string)), 500}, "a URL": {parse, 500}, "a file that is not there": {absent, 500},
		"no rows": {sql.ErrNoRows, 500}, "fs.ErrNotExist": {fs.ErrNotExist, 500}, "EOF": {io.EOF, 500}, "a cast": {&pgconn.PgError{Code: "22P02"}, 500}, "no such column": {&pgconn.PgError{Code: "42703"}, 500}, "a constraint": {&pgconn.PgError{Code: "23505"}, 500},
		"an ill-formed state": {&pgconn.PgError{Code: "08"}, 500}, "SQLite: error": {sqlite3.Error{Code: sqlite3.ErrError}, 500}, "SQLite: constraint": {sqlite3.Error{Code: sqlite3.ErrConstraint}, 500}, "SQLite: mismatch": {sqlite3.Error{Code: sqlite3.ErrMismatch}, 500},
		"storage": {storage.ErrNotFound, 500}, "a client's status": {status(404), 500}, "a status": {status(500), 500}, "another status": {status(502), 502}, "no server error": {status(200), 500},

		"unavailable": {&authn.Unavailable{Reason: "x"}, 503}, "undecided": {authn.Undecided(errors.New("x")), 503}, "undecided twice": {authn.Undecided(authn.Undecided(errors.New("x"))), 503}, "wrapped undecided": {fmt.Errorf("x: %w", authn.Undecided(errors.New("x"))), 503}, "joined": {errors.Join(errors.New("x"), context.DeadlineExceeded), 503},
		"a deadline": {fmt.Errorf("x: %w", context.DeadlineExceeded), 503}, "canceled": {context.Canceled, 503}, "refused connection": {dial("127.0.0.1:1"), 503}, "no such host": {&net.DNSError{Err: "no such host"}, 503}, "HTTP": {request, 503}, "a broken connection": {driver.ErrBadConn, 503}, "dead database": {dead, 503}, "closed database": {gone, 503},
		"cut off": {fmt.Errorf("x: %w", io.ErrUnexpectedEOF), 503}, "closed": {net.ErrClosed, 503}, "disk full": {&fs.PathError{Op: "write", Err: syscall.ENOSPC}, 503}, "time": {os.ErrDeadlineExceeded, 503},
		"PostgreSQL: shutting down": {&pgconn.PgError{Code: "57P01"}, 503}, "PostgreSQL: too many": {fmt.Errorf("x: %w", &pgconn.PgError{Code: "53300"}), 503}, "PostgreSQL: serialization": {&pgconn.PgError{Code: "40001"}, 503}, "PostgreSQL: lock": {&pgconn.PgError{Code: "55P03"}, 503}, "PostgreSQL: read-only": {&pgconn.PgError{Code: "25006"}, 503}, "PostgreSQL: connection": {&pgconn.PgError{Code: "08006"}, 503}, "PostgreSQL: log-in": {&pgconn.PgError{Code: "28P01"}, 503},
		"PostgreSQL: a statement out of order": {&pgconn.PgError{Code: "55000"}, 500}, "PostgreSQL: a statement without the right": {&pgconn.PgError{Code: "42501"}, 500},
		"PostgreSQL: no connections to this database": {notConnected(t, "55000"), 503}, "PostgreSQL: no right to connect": {fmt.Errorf("x: %w", notConnected(t, "42501")), 503}, "PostgreSQL: starting": {notConnected(t, "57P03"), 503}, "PostgreSQL: an unknown setting": {notConnected(t, "42704"), 503},
		"SQLite: busy": {sqlite3.Error{Code: sqlite3.ErrBusy}, 503}, "SQLite: locked": {fmt.Errorf("x: %w", sqlite3.Error{Code: sqlite3.ErrLocked}), 503}, "SQLite: I/O": {&sqlite3.Error{Code: sqlite3.ErrIoErr}, 503}, "SQLite: full": {sqlite3.Error{Code: sqlite3.ErrFull}, 503}, "SQLite: read-only": {sqlite3.Error{Code: sqlite3.ErrReadonly}, 503},
		"by option": {errExotic, 503},
	} {
		t.Run("edge_C14/"+name, func(t *testing.T) {
			m := authn.New(says("t", "Token"), &authn.Options{Logger: quiet, Unavailable: func(err error) bool { return errors.Is(err, errExotic) }})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, x.err) })
			for _, handler := range []http.Handler{m.Handler(h), m.Public(h)} {
				got := ask(handler, "GET", "/")
				if got.Code != x.want || (got.Header().Get("Retry-After") != "") != (x.want == 503) {
					t.Errorf("%v: %d %v, want %d", x.err, got.Code, got.Header(), x.want)
				}
			}
		})
	}
	// An error of a scheme always means that the request could not be decided.
	for _, err := range []error{errors.New("x"), number, &pgconn.PgError{Code: "22P02"}, storage.ErrNotFound} {
		if got := ask(authn.New(&scheme{name: "s", err: err}, &authn.Options{Logger: quiet}).Handler(closed), "GET", "/"); got.Code != 503 {
			t.Errorf("edge_C14: a scheme's %v: %d", err, got.Code)
		}
	}
	for _, err := range []error{nil, authn.NotFound(""), authn.ErrNoCredentials, context.Canceled} {
		if got := authn.Undecided(err); got != err {
			t.Errorf("edge_C14: Undecided(%v) = %v", err, got)
		}
	}
}

// notConnected returns pgx's error for a server that refuses a connection with that state.
func notConnected(t *testing.T, state string) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 1024)) // the startup message
		fields := "SFATAL\x00C" + state + "\x00Mrefused\x00\x00"
		_, _ = c.Write(append(binary.BigEndian.AppendUint32([]byte("E"), uint32(4+len(fields))), fields...))
	}()
	_, err = pgconn.Connect(t.Context(), "postgres://app@"+l.Addr().String()+"/app?sslmode=disable")
	var found *pgconn.PgError
	if !errors.As(err, &found) || found.Code != state {
		t.Fatalf("connected with %v", err)
	}
	return err
}

var errExotic = errors.New("exotic")

type status int

func (status) Error() string     { return "status" }
func (s status) StatusCode() int { return int(s) }

type deadConnector struct{}

func (deadConnector) Connect(context.Context) (driver.Conn, error) { return nil, driver.ErrBadConn }
func (deadConnector) Driver() driver.Driver                        { return nil }

// Every keyword can be followed by more than one space (RFC 9110, section 11.4), but by nothing
// else.
func TestSpacesAfterTheKeyword(t *testing.T) {
	w := newWorld(t)
	s := serve(t, w.mux(authn.Chain{w.bearer, w.token, w.basic}))
	for value, want := range map[string]int{
		"Bearer  " + w.good: 200, "Bearer          " + w.good: 200, "bearer  " + w.good: 200, "Token  " + w.good: 200, "Basic   YWxpY2U6d29uZGVybGFuZC00Mg==": 200, "Bearer " + w.good: 200,
		"Bearer\t" + w.good: 400, "Bearer \t" + w.good: 400, "Bearer\t " + w.good: 400, "Bearer  \t " + w.good: 400, "Bearer  " + w.good + " x": 400, "Bearer  " + w.good + ", x": 400, "Bearer  a  b": 400, "Bearer\v" + w.good: 400, "Bearer  =": 400, "Bearer\u00a0" + w.good: 401,
		"Bearer" + w.good: 401, "Bearer  junk": 401, "Token\t" + w.good: 200,
	} {
		t.Run("edge_B11/"+strconv.Quote(value[:8]), func(t *testing.T) {
			resp := raw(t, s, get("/closed", "Authorization: "+value))
			if resp.StatusCode != want {
				t.Errorf("%q: %d, want %d", value, resp.StatusCode, want)
			}
		})
	}
}
