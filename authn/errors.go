package authn

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ErrNoCredentials says that the request holds no credential of this kind. A
// Chain goes on; where nobody finds one the request is anonymous.
var ErrNoCredentials = errors.New("authn: no credentials")

// ErrUnrecognized says that a credential stands under this scheme's keyword but
// has not the shape of one of its own. It wraps ErrNoCredentials. A Chain goes
// on, since another scheme may share the keyword; where nobody takes the
// credential the request is refused, never anonymous. See
// Unrecognized for saying how it is refused.
var ErrUnrecognized = fmt.Errorf("%w: unrecognized", ErrNoCredentials)

// Error is a refusal: what the client is told, and privately why. Values are
// shared between requests and not changed after they are made; the With methods
// return copies.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is a short machine-readable word, such as "authentication_failed".
	Code string
	// Detail is the sentence for the client. It never says more than the caller
	// may know.
	Detail string
	// Members are further members of the error body, such as the messages of
	// each field of a form. Where Detail is "" they are the whole body.
	Members []Member
	// Challenge, where not "", is sent as WWW-Authenticate instead of the chain's
	// challenges.
	Challenge string
	// Scopes are all scopes that the route needs, if it needs some. A 403 with Scopes is
	// answered with the challenge of the scheme that accepted the credential, which names
	// them if its protocol has a word for them. Package authz sets them.
	Scopes []string
	// RetryAfter, where above 0, is sent as Retry-After in whole seconds, rounded
	// up.
	RetryAfter time.Duration
	// Header holds further fields of the answer, such as a nonce, by canonical name.
	Header http.Header
	// Cookies are set on the answer: such as one that takes a refused cookie away.
	Cookies []*http.Cookie

	cause error
}

// Member is one further member of an error body, in the order given.
type Member struct {
	Name  string
	Value any
}

// Error returns the public half, and the private cause where there is one. It is
// for the log; the client is sent Code and Detail alone.
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	s := fmt.Sprintf("%d %s", e.Status, e.Code)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	for _, m := range e.Members {
		if list, ok := m.Value.([]string); ok { // the messages of a form's field
			s += "; " + m.Name + ": " + strings.Join(list, " ")
		}
	}
	if e.cause != nil {
		s += " (" + e.cause.Error() + ")"
	}
	return s
}

// Unwrap returns the private cause, or nil.
func (e *Error) Unwrap() error {
	if e == nil { // a typed nil, which a handler returned as an error
		return nil
	}
	return e.cause
}

// WithCause returns a copy of e whose private cause is cause. The cause goes to the
// log and is never sent; it must not hold a secret.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// WithChallenge returns a copy of e that answers with that challenge.
func (e *Error) WithChallenge(challenge string) *Error {
	c := *e
	c.Challenge = challenge
	return &c
}

// The refusals that Django REST Framework names, with its codes and its texts
// where detail is "". Each call returns a new value.

// AuthenticationFailed is a 401 for a credential that was refused.
func AuthenticationFailed(detail string) *Error {
	return newError(http.StatusUnauthorized, "authentication_failed", detail, "Incorrect authentication credentials.")
}

// NotAuthenticated is the 401 for a request that needs a credential and has none.
func NotAuthenticated() *Error {
	return newError(http.StatusUnauthorized, codeNotAuthenticated, "", "Authentication credentials were not provided.")
}

const codeNotAuthenticated = "not_authenticated"

// PermissionDenied is a 403.
func PermissionDenied(detail string) *Error {
	return newError(http.StatusForbidden, "permission_denied", detail, "You do not have permission to perform this action.")
}

// NotFound is a 404.
func NotFound(detail string) *Error {
	return newError(http.StatusNotFound, "not_found", detail, "Not found.")
}

// BadRequest is a 400 with the code "invalid_request" of RFC 6750 section 3.1.
func BadRequest(detail string) *Error {
	return newError(http.StatusBadRequest, "invalid_request", detail, "Malformed request.")
}

// FieldError is a 400 with a message for one field of a body, in the form of Django REST
// Framework: {"<field>": ["<message>"]}.
func FieldError(field, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid", Members: []Member{{Name: field, Value: []string{message}}}}
}

// MethodNotAllowed is a 405 in the words of Django REST Framework. The caller
// sets the Allow header.
func MethodNotAllowed(method string) *Error {
	return newError(http.StatusMethodNotAllowed, "method_not_allowed", fmt.Sprintf("Method %q not allowed.", method), "")
}

// Throttled is a 429 that may be tried again after wait; 0 where that is unknown.
func Throttled(wait time.Duration) *Error {
	e := newError(http.StatusTooManyRequests, "throttled", "", "Request was throttled.")
	if n := seconds(wait); n == 1 {
		e.Detail += " Expected available in 1 second."
	} else if n > 1 {
		e.Detail += fmt.Sprintf(" Expected available in %d seconds.", n)
	}
	e.RetryAfter = wait
	return e
}

// InvalidLogin is the 401 of a login endpoint for a wrong password, an unknown
// name and a disabled user alike. Respond never answers it with a Basic challenge: a browser
// would open its password dialogue over the login page.
func InvalidLogin() *Error {
	e := newError(http.StatusUnauthorized, codeInvalidLogin, "", "Unable to log in with provided credentials.")
	e.Members = []Member{{"code", codeInvalidLogin}}
	return e
}

const codeInvalidLogin = "invalid_credentials"

func newError(status int, code, detail, standard string) *Error {
	if detail == "" {
		detail = standard
	}
	return &Error{Status: status, Code: code, Detail: detail}
}

// seconds rounds up to whole seconds, at least 0.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d + time.Second - 1) / time.Second)
}

// Unrecognized returns an ErrUnrecognized that tells the chain how the
// credential is to be refused if no scheme takes it. A scheme makes it once.
func Unrecognized(refusal *Error) error { return &unrecognized{refusal} }

type unrecognized struct{ refusal *Error }

func (u *unrecognized) Error() string { return ErrUnrecognized.Error() }
func (u *unrecognized) Unwrap() error { return ErrUnrecognized }

// Unavailable is the fault of a dependency that is known: the question could not be decided
// just now. [Respond] answers it with 503 and logs it at Warn. It also says when to try again. To
// mark an error without changing its log level, use [Undecided].
type Unavailable struct {
	Reason     string
	RetryAfter time.Duration
	Cause      error
}

func (u *Unavailable) Error() string {
	if u.Cause != nil {
		return u.Reason + ": " + u.Cause.Error()
	}
	return u.Reason
}

// Unwrap returns the cause, or nil.
func (u *Unavailable) Unwrap() error { return u.Cause }
