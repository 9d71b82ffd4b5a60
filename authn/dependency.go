package authn

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"syscall"
)

// Undecided marks an error as the failure of a dependency, so that [Respond] answers it with 503
// and Retry-After instead of 500. Use it for an error of a store or service that Respond does not
// recognize, and for every store error in an endpoint of your own scheme. It returns nil for nil,
// and returns an [*Error] or [ErrNoCredentials] unchanged.
//
// Respond recognizes these errors without a mark:
//   - errors of package authz and of the schemes of a chain
//   - [*Unavailable], and an error with a method StatusCode() int that returns 500 to 599, which
//     becomes the status
//   - a context that is canceled or past its deadline, and any other timeout
//   - a failed network operation, DNS lookup or HTTP request
//   - [driver.ErrBadConn], [io.ErrUnexpectedEOF], a full disk, an input/output error
//   - a closed database of database/sql
//   - an error with a method SQLState() string that returns 55P03 or a state of the classes 08, 28,
//     3D, 40, 53, 57, 58 or XX. In PostgreSQL, these mean problems of the connection, login,
//     rollback, resources, operator or system
//   - any error that pgx returns while it connects
//   - an error of a SQLite driver for a database that is busy, locked, read-only, full or corrupt,
//     an interrupted statement, or a file that cannot be opened, read or written
//   - errors for which Options.Unavailable returns true
func Undecided(err error) error {
	if err == nil || refusal(err) != nil || errors.Is(err, ErrNoCredentials) || isDependency(err) {
		return err
	}
	return &undecided{err}
}

type undecided struct{ err error }

func (u *undecided) Error() string   { return u.err.Error() }
func (u *undecided) Unwrap() error   { return u.err }
func (u *undecided) StatusCode() int { return http.StatusServiceUnavailable }

// isDependency reports whether an error is known to come from a dependency.
func isDependency(err error) bool {
	var coded interface{ StatusCode() int }
	if errors.As(err, &coded) {
		if n := coded.StatusCode(); n >= 500 && n <= 599 {
			return true // it has a status of its own; see faultStatus
		}
	}
	if known, yes := fromDatabase(err); known {
		return yes
	}
	for _, known := range [...]error{context.Canceled, context.DeadlineExceeded, driver.ErrBadConn, io.ErrUnexpectedEOF, net.ErrClosed, syscall.EIO, syscall.ENOSPC} {
		if errors.Is(err, known) {
			return true
		}
	}
	if errors.As(err, new(*Unavailable)) || errors.As(err, new(*net.OpError)) || errors.As(err, new(*net.DNSError)) {
		return true
	}
	var request *url.Error
	if errors.As(err, &request) && request.Op != "parse" { // of an HTTP client
		return true
	}
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// fromDatabase searches err for an error of a database driver. transient reports whether the
// database caused it and not the statement. The drivers are not imported, because that would
// compile them into every program.
func fromDatabase(err error) (known, transient bool) {
	switch e := err.(type) {
	case nil:
		return false, false
	case interface{ SQLState() string }:
		return true, isTransient(e.SQLState())
	}
	if isConnecting(err) {
		return true, true
	}
	if code, ok := sqliteCode(err); ok {
		return true, sqliteTrouble(code)
	}
	if err.Error() == "sql: database is closed" { // the package has no variable for it
		return true, true
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return fromDatabase(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range u.Unwrap() {
			if known, transient = fromDatabase(one); known {
				return known, transient
			}
		}
	}
	return false, false
}

// isConnecting reports whether err is pgx's error for an attempt to connect. Such an attempt has no
// statement, so its SQLSTATE does not matter: a database that accepts no connections has 55000, and
// one without the right to connect 42501, which are bugs of the program for a statement.
func isConnecting(err error) bool {
	t := reflect.TypeOf(err)
	return t.Kind() == reflect.Pointer && t.Elem().Name() == "ConnectError" && strings.HasSuffix(t.Elem().PkgPath(), "/pgconn")
}

// sqliteCode returns the result code of a SQLite error. In mattn/go-sqlite3 the code is a field, in
// the drivers written in Go it is a method.
func sqliteCode(err error) (int64, bool) {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct || !strings.Contains(v.Type().PkgPath(), "sqlite") {
		return 0, false
	}
	if m, ok := err.(interface{ Code() int }); ok {
		return int64(m.Code()), true
	}
	if f := v.FieldByName("Code"); f.IsValid() && f.CanInt() {
		return f.Int(), true
	}
	return 0, false
}

// sqliteTrouble reports whether the database caused a result code, and not the statement.
func sqliteTrouble(code int64) bool {
	switch code & 0xff {
	case 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 26:
		return true
	}
	return false
}

// isTransient reports whether the database caused an SQLSTATE, and not the statement.
func isTransient(state string) bool {
	if len(state) != 5 {
		return false
	}
	switch state[:2] {
	case "08", "28", "3D", "40", "53", "57", "58", "XX":
		return true
	}
	return state == "55P03" // lock_not_available
}
