package authz

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/vestibule-auth/vestibule/authn"
)

// decide calls a permission of another package. It converts a panic into an error.
func decide(p Permission, a *Access) (d Decision, err error) {
	defer func() {
		if v := recover(); v != nil {
			d, err = Deny, newPanic(name(p), v)
		}
	}()
	return p.Decide(*a)
}

// panicked is a panic in a function that a guard called. The status is 500.
type panicked struct {
	where, what string
	stack       []byte
}

// newPanic keeps the type of the panic value. It drops the text, which may hold a secret.
func newPanic(where string, v any) error {
	return &panicked{where, fmt.Sprintf("%T", v), debug.Stack()}
}

func (p *panicked) Error() string { return "authz: " + p.where + " panicked (" + p.what + ")" }

// Stack returns the stack trace for the log.
func (p *panicked) Stack() string { return string(p.stack) }

// StatusCode returns 500.
func (*panicked) StatusCode() int { return http.StatusInternalServerError }

// undecided is an error of a permission. The status is 503, unless the error has another one from
// 500 to 599.
type undecided struct {
	permission string
	err        error
}

func (u *undecided) Error() string   { return "authz: " + u.permission + ": " + u.err.Error() }
func (u *undecided) Unwrap() error   { return u.err }
func (u *undecided) StatusCode() int { return statusOf(u.err) }

// statusOf returns the status of a permission's error.
func statusOf(err error) int {
	var s interface{ StatusCode() int }
	if errors.As(err, &s) {
		if n := s.StatusCode(); n >= 500 && n <= 599 {
			return n
		}
	}
	return http.StatusServiceUnavailable
}

// asFault wraps an error of a permission for authn.Respond.
func asFault(p Permission, err error) error {
	if errors.Is(err, authn.ErrNoCredentials) { // returned by a permission, it does not mean missing credentials
		err = errors.New(err.Error())
	}
	return &undecided{name(p), err}
}
