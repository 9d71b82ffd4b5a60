package authz

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/vestibule-auth/vestibule/authn"
)

// decide calls a permission that this package does not know. A panic is a fault.
func decide(p Permission, a *Access) (d Decision, err error) {
	defer func() {
		if v := recover(); v != nil {
			d, err = Deny, newPanic(name(p), v)
		}
	}()
	return p.Decide(*a)
}

// panicked is a panic of the program's code that a guard called: 500.
type panicked struct {
	where, what string
	stack       []byte
}

// newPanic keeps the type of what was panicked with, and not its text, which may hold a secret.
func newPanic(where string, v any) error {
	return &panicked{where, fmt.Sprintf("%T", v), debug.Stack()}
}

func (p *panicked) Error() string { return "authz: " + p.where + " panicked (" + p.what + ")" }

// Stack returns where it panicked, for the log.
func (p *panicked) Stack() string { return string(p.stack) }

// StatusCode is 500.
func (*panicked) StatusCode() int { return http.StatusInternalServerError }

// undecided is an error of a permission: 503, whatever it is, unless it says otherwise.
type undecided struct {
	permission string
	err        error
}

func (u *undecided) Error() string   { return "authz: " + u.permission + ": " + u.err.Error() }
func (u *undecided) Unwrap() error   { return u.err }
func (u *undecided) StatusCode() int { return statusOf(u.err) }

// statusOf is the status that an error of a permission has.
func statusOf(err error) int {
	var s interface{ StatusCode() int }
	if errors.As(err, &s) {
		if n := s.StatusCode(); n >= 500 && n <= 599 {
			return n
		}
	}
	return http.StatusServiceUnavailable
}

// asFault marks what a guard could not decide, for authn.Respond.
func asFault(p Permission, err error) error {
	if errors.Is(err, authn.ErrNoCredentials) { // a permission's is no missing credential
		err = errors.New(err.Error())
	}
	return &undecided{name(p), err}
}
