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

// Undecided marks an error as the fault of a dependency, so that [Respond] answers it with 503
// and Retry-After instead of 500. It returns nil for nil, and an *Error or ErrNoCredentials as
// it is. Use it for an error of a store or a service that Respond does not recognize, and around
// every store error of an endpoint of your own scheme.
//
// Respond recognizes these without a mark:
//   - what package authz and the schemes of a chain return
//   - *Unavailable, and an error with StatusCode() int from 500 to 599, which is the status
//   - a context that is canceled or past its deadline, and any other timeout
//   - a network operation, a DNS look-up or an HTTP request that failed
//   - [driver.ErrBadConn], [io.ErrUnexpectedEOF], a full disk, an input/output error
//   - a closed database of database/sql
//   - an error with SQLState() string of one of the classes 08, 28, 3D, 40, 53, 57, 58, XX,
//     or 55P03: connection, log-in, rollback, resources, operator, system (PostgreSQL)
//   - an error of SQLite's drivers that says busy, locked, interrupted, read-only, full, corrupt,
//     or that the file cannot be opened, read or written
//   - what Options.Unavailable reports
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

// isDependency reports whether an error is known to be a dependency's.
func isDependency(err error) bool {
	var coded interface{ StatusCode() int }
	if errors.As(err, &coded) {
		if n := coded.StatusCode(); n >= 500 && n <= 599 {
			return true // it says itself what it is; see faultStatus
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

// fromDatabase looks for an error of a database driver, and reports whether it is the database's
// trouble and not the statement's. The drivers are not imported: that would compile them into
// every program.
func fromDatabase(err error) (known, transient bool) {
	switch e := err.(type) {
	case nil:
		return false, false
	case interface{ SQLState() string }:
		return true, isTransient(e.SQLState())
	}
	if code, ok := sqliteCode(err); ok {
		return true, sqliteTrouble(code)
	}
	if err.Error() == "sql: database is closed" { // it has no variable of its own
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

// sqliteCode returns the result code of an error of SQLite: of mattn/go-sqlite3 a field, of the
// drivers in pure Go a method.
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

// sqliteTrouble reports whether a result code, or an extended one, is none of the statement's.
func sqliteTrouble(code int64) bool {
	switch code & 0xff {
	case 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 26:
		return true
	}
	return false
}

// isTransient reports whether an SQLSTATE is the database's trouble and not the statement's.
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
