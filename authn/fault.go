package authn

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
)

// bug is an error of the program: 500.
type bug struct{}

func (bug) Error() string   { return "authn: the error is no refusal and no fault of a dependency" }
func (bug) StatusCode() int { return http.StatusInternalServerError }

// panicked is a panic inside a scheme, as a fault.
type panicked struct {
	what  string
	stack []byte
}

// newPanic keeps the message of an error of the runtime and, of any other value, the type
// alone: a text that a scheme panics with may hold a secret.
func newPanic(v any) error {
	p := &panicked{what: fmt.Sprintf("%T", v), stack: debug.Stack()}
	if e, ok := v.(runtime.Error); ok && strings.HasPrefix(strings.TrimPrefix(p.what, "*"), "runtime.") {
		p.what = e.Error()
	}
	return p
}

func (p *panicked) Error() string { return "authn: panic in a scheme: " + p.what }

// Stack returns where the scheme panicked, for the log.
func (p *panicked) Stack() string { return string(p.stack) }

// refusal returns the *Error that err is or wraps. A typed nil is none.
func refusal(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// isAbsent reports whether err says that there is no credential. A refusal is a
// refusal whatever it wraps.
func isAbsent(err error) bool {
	if _, ok := err.(*unrecognized); ok { // what most schemes return
		return true
	}
	return errors.Is(err, ErrNoCredentials) && refusal(err) == nil
}

// faultStatus is the status for an error that is no refusal: 503, unless the
// error knows of another server error (a wrong object type in a permission is a
// mistake of the program, 500).
func faultStatus(err error) int {
	var s interface{ StatusCode() int }
	if errors.As(err, &s) {
		if n := s.StatusCode(); n >= 500 && n < 600 {
			return n
		}
	}
	return http.StatusServiceUnavailable
}
