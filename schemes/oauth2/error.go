package oauth2

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// Error is an error response of the token endpoint and similar endpoints (RFC 6749, section 5.2).
type Error struct {
	Status      int
	Code        string // "invalid_grant", …
	Description string
	// Challenge is the value of WWW-Authenticate; "" means no header.
	Challenge string
	// RetryAfter is the time after which the client may retry; 0 means unknown.
	RetryAfter time.Duration
	// NoRedirect means that the error must not be sent to a redirect URI, because there is none
	// that can be trusted. The user gets the error as a page.
	NoRedirect bool
	cause      error
}

// NewError returns an error with status 400.
func NewError(code, description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Description: description}
}

// Error returns the code, the description and the private cause.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.cause != nil {
		text += " (" + e.cause.Error() + ")"
	}
	return text
}

// Unwrap returns the private cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// WithCause returns a copy with a private cause, which appears only in the log.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Public returns the parts of the error that a page can show.
func (e *Error) Public() (status int, code, description string, retryAfter time.Duration) {
	return e.Status, e.Code, e.Description, e.RetryAfter
}

// OnPage returns err with NoRedirect set if it is an *Error, and any other error unchanged.
func OnPage(err error) error {
	var e *Error
	if errors.As(err, &e) && !e.NoRedirect {
		c := *e
		c.NoRedirect = true
		return &c
	}
	return err
}

// PageError returns an invalid_request error that must not be sent to a redirect URI.
func PageError(description string) error { return OnPage(NewError("invalid_request", description)) }

var errRequest = NewError("invalid_request", "The request is malformed.")

// RespondError responds with err as JSON. log must not be nil.
//
//   - An *Error is sent as it is. Its cause is logged at Info.
//   - An *authn.Error with status 429 becomes temporarily_unavailable.
//   - Any other error is a server error: it is logged at Error, and the response is 503.
func RespondError(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	var e *Error
	var limited *authn.Error
	switch {
	case errors.As(err, &e):
		if e.cause != nil {
			log.LogAttrs(r.Context(), slog.LevelInfo, "request rejected", slog.String("scheme", schemeName), slog.String("code", e.Code),
				slog.Any("reason", e.cause), slog.String("route", r.Pattern))
		}
	case errors.As(err, &limited) && limited.Status == http.StatusTooManyRequests:
		e = &Error{Status: limited.Status, Code: "temporarily_unavailable", Description: "Too many attempts.", RetryAfter: limited.RetryAfter}
	default:
		log.LogAttrs(r.Context(), slog.LevelError, "request error", slog.String("scheme", schemeName), slog.Any("error", err), slog.String("route", r.Pattern))
		e = &Error{Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "The server cannot answer now, try again later.", RetryAfter: 5 * time.Second}
	}
	h := w.Header()
	if e.Challenge != "" && !(strings.HasPrefix(e.Challenge, "Basic ") && authn.FromBrowser(r)) {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	WriteJSON(w, e.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

// WriteJSON responds with v as JSON that must not be cached (RFC 6749, section 5.1).
func WriteJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
