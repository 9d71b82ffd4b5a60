package authn

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
)

// bug is an error of the program, answered with 500.
type bug struct{}

func (bug) Error() string {
	return "authn: the error is neither an *Error nor a failure of a dependency"
}
func (bug) StatusCode() int { return http.StatusInternalServerError }

// panicked is an error for a panic inside a scheme.
type panicked struct {
	what  string
	stack []byte
}

// newPanic keeps the message of a runtime error. Of any other value it keeps only the type, because
// a text that a scheme panics with may contain a secret.
func newPanic(v any) error {
	p := &panicked{what: fmt.Sprintf("%T", v), stack: debug.Stack()}
	if e, ok := v.(runtime.Error); ok && strings.HasPrefix(strings.TrimPrefix(p.what, "*"), "runtime.") {
		p.what = e.Error()
	}
	return p
}

func (p *panicked) Error() string { return "authn: panic in a scheme: " + p.what }

// Stack returns the stack of the panic, for the log.
func (p *panicked) Stack() string { return string(p.stack) }

// refusal returns the *Error that err is or wraps, or nil.
func refusal(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// isAbsent reports whether err means that there are no credentials. An *Error is a rejection,
// whatever it wraps.
func isAbsent(err error) bool {
	if _, ok := err.(*unrecognized); ok { // the result of most schemes
		return true
	}
	return errors.Is(err, ErrNoCredentials) && refusal(err) == nil
}

// faultStatus returns the status for an error that is not an *Error: 503, unless the error has
// another 5xx status. For example, a wrong object type in a permission is a bug in the program and
// has 500.
func faultStatus(err error) int {
	var s interface{ StatusCode() int }
	if errors.As(err, &s) {
		if n := s.StatusCode(); n >= 500 && n < 600 {
			return n
		}
	}
	return http.StatusServiceUnavailable
}
