package authn

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ErrNoCredentials means that the request has no credentials of this kind. A [Chain] then calls the
// next scheme. If no scheme finds credentials, the request is anonymous.
var ErrNoCredentials = errors.New("authn: no credentials")

// ErrUnrecognized means that the request has credentials with the keyword of this scheme, but in
// another format. It wraps [ErrNoCredentials]. A [Chain] then calls the next scheme, because
// schemes can share a keyword. If no scheme accepts the credentials, the request is rejected; it is
// never anonymous. To choose how it is rejected, use [Unrecognized].
var ErrUnrecognized = fmt.Errorf("%w: unrecognized", ErrNoCredentials)

// Error is the rejection of a request: a response for the client, and a private cause for the log.
// Values are shared between requests and MUST NOT be modified; the With methods return copies.
type Error struct {
	// Status is the HTTP status code.
	Status int
	// Code is a short machine-readable code, such as "authentication_failed".
	Code string
	// Detail is the sentence for the client. It must not contain anything that the client is not
	// allowed to know.
	Detail string
	// Members are further members of the response body, such as the messages for the fields of a
	// form. If Detail is "", they are the whole body.
	Members []Member
	// Challenge, if it is not "", is sent as WWW-Authenticate instead of the challenges of the
	// chain.
	Challenge string
	// Scopes are all scopes that the route requires, if it requires any. A 403 with Scopes is sent
	// with the challenge of the scheme that accepted the credentials. The challenge lists the
	// scopes if the protocol of the scheme supports that. Package authz sets this field.
	Scopes []string
	// StepUp, if it is not nil, says how the user must log in again. See
	// [InsufficientAuthentication]. Package authz sets this field.
	StepUp *StepUp
	// RetryAfter, if it is above 0, is sent as Retry-After, rounded up to whole seconds.
	RetryAfter time.Duration
	// Header holds further headers of the response, such as a nonce, by canonical name.
	Header http.Header
	// Cookies are set on the response, for example to delete a rejected cookie.
	Cookies []*http.Cookie

	cause error
}

// Member is one further member of a response body. Members keep their order.
type Member struct {
	Name  string
	Value any
}

// Error returns the response and the private cause, if there is one. Use it for logs. Send only
// Code and Detail to the client.
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

// WithCause returns a copy of e with the private cause. The cause is logged and never sent to the
// client. It must not contain a secret.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// WithChallenge returns a copy of e with that Challenge.
func (e *Error) WithChallenge(challenge string) *Error {
	c := *e
	c.Challenge = challenge
	return &c
}

// The following rejections have the codes of Django REST Framework, and its texts if detail is "".
// Each call returns a new value.

// AuthenticationFailed returns a 401 for rejected credentials.
func AuthenticationFailed(detail string) *Error {
	return newError(http.StatusUnauthorized, "authentication_failed", detail, "Incorrect authentication credentials.")
}

// NotAuthenticated returns a 401 for a request that requires credentials and has none.
func NotAuthenticated() *Error {
	return newError(http.StatusUnauthorized, codeNotAuthenticated, "", "Authentication credentials were not provided.")
}

const codeNotAuthenticated = "not_authenticated"

// PermissionDenied returns a 403.
func PermissionDenied(detail string) *Error {
	return newError(http.StatusForbidden, "permission_denied", detail, "You do not have permission to perform this action.")
}

// NotFound returns a 404.
func NotFound(detail string) *Error {
	return newError(http.StatusNotFound, "not_found", detail, "Not found.")
}

// BadRequest returns a 400 with the code "invalid_request" (RFC 6750, section 3.1).
func BadRequest(detail string) *Error {
	return newError(http.StatusBadRequest, "invalid_request", detail, "Malformed request.")
}

// FieldError returns a 400 with a message for one field of a request body, in the format of Django
// REST Framework: {"<field>": ["<message>"]}.
func FieldError(field, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid", Members: []Member{{Name: field, Value: []string{message}}}}
}

// MethodNotAllowed returns a 405 with the text of Django REST Framework. The caller sets the Allow
// header.
func MethodNotAllowed(method string) *Error {
	return newError(http.StatusMethodNotAllowed, "method_not_allowed", fmt.Sprintf("Method %q not allowed.", method), "")
}

// Throttled returns a 429. wait is the time until the client can try again, or 0 if that is
// unknown.
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

// InvalidLogin returns the 401 of a login endpoint. It is the same for a wrong password, an unknown
// name and a disabled user. [Respond] never sends it with a Basic challenge, because a browser
// would open its password dialog over the login page.
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

// seconds rounds up to whole seconds. It returns at least 0.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d + time.Second - 1) / time.Second)
}

// Unrecognized returns an [ErrUnrecognized] with the rejection that the chain uses if no scheme
// accepts the credentials. Call it once, when you create the scheme.
func Unrecognized(refusal *Error) error { return &unrecognized{refusal} }

type unrecognized struct{ refusal *Error }

func (u *unrecognized) Error() string { return ErrUnrecognized.Error() }
func (u *unrecognized) Unwrap() error { return ErrUnrecognized }

// Unavailable means that a request could not be decided because a dependency failed. [Respond]
// answers it with 503 and logs it at Warn. RetryAfter is sent to the client. To mark an error
// without changing its log level, use [Undecided].
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
