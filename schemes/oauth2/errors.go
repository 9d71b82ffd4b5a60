package oauth2

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	goerrors "github.com/go-oauth2/oauth2/v4/errors"

	"github.com/vestibule-auth/vestibule/authn"
)

// Error is a refusal of the token endpoint and its like (RFC 6749 section 5.2).
type Error struct {
	Status      int
	Code        string // "invalid_grant", …
	Description string
	challenge   string
	retryAfter  time.Duration
	cause       error
}

// Error says the code, the description and the private cause.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.cause != nil {
		text += " (" + e.cause.Error() + ")"
	}
	return text
}

// Unwrap returns the private cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

func refuse(code, description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Description: description}
}

// with returns a copy with a private cause, for the log.
func (e *Error) with(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// The refusals that many places share. One description serves whatever is wrong with a code
// or a token.
var (
	errGrant   = refuse("invalid_grant", "The grant is invalid, expired, revoked, or was issued to another client.")
	errClient  = &Error{Status: http.StatusUnauthorized, Code: "invalid_client", Description: "Client authentication failed."}
	errRequest = refuse("invalid_request", "The request is malformed.")

	errUnauthorized = refuse("unauthorized_client", "The client may not use this grant type.")
	errUnsupported  = refuse("unsupported_grant_type", "The grant type is not supported.")
)

// ours makes our refusals of those of go-oauth2's frame, and leaves every other error.
func ours(err error) error {
	switch {
	case errors.Is(err, goerrors.ErrUnauthorizedClient):
		return errUnauthorized
	case errors.Is(err, goerrors.ErrUnsupportedGrantType):
		return errUnsupported
	case errors.Is(err, goerrors.ErrInvalidGrant):
		return errGrant
	}
	return err
}

// fail answers with err: a refusal, or 503 for a fault, which is logged.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) { fail(w, r, err, s.logger()) }

func fail(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	var e *Error
	var limited *authn.Error
	switch {
	case errors.As(err, &e):
		if e.cause != nil {
			log.LogAttrs(r.Context(), slog.LevelInfo, "request refused", slog.String("scheme", "oauth2"), slog.String("code", e.Code),
				slog.Any("reason", e.cause), slog.String("route", r.Pattern))
		}
	case errors.As(err, &limited) && limited.Status == http.StatusTooManyRequests:
		e = &Error{Status: limited.Status, Code: "temporarily_unavailable", Description: "Too many attempts.", retryAfter: limited.RetryAfter}
	default:
		log.LogAttrs(r.Context(), slog.LevelError, "request could not be decided", slog.String("scheme", "oauth2"), slog.Any("error", err), slog.String("route", r.Pattern))
		e = &Error{Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "The server can not answer now, try again later.", retryAfter: 5 * time.Second}
	}
	h := w.Header()
	if e.challenge != "" && !(strings.HasPrefix(e.challenge, "Basic ") && authn.FromBrowser(r)) {
		h.Set("WWW-Authenticate", e.challenge)
	}
	e.retry(h)
	write(w, e.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

// retry says when the client may try again, where that is known.
func (e *Error) retry(h http.Header) {
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.retryAfter+time.Second-1)/time.Second), 10))
	}
}

// write answers with JSON that nobody keeps (RFC 6749 section 5.1).
func write(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
