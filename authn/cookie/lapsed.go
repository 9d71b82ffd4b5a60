package cookie

import (
	"errors"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
)

// rejected returns the error for a credential that is definitely not accepted. It removes the cookie.
func (s *Scheme) rejected(e *authn.Error, why error) *authn.Error {
	if why == nil {
		why = errors.New("rejected by the wrapped scheme")
	}
	e = e.WithCause(ended{why, s})
	e.Cookies = append(slices.Clip(e.Cookies), s.Cookie("", -1))
	return e
}

// ended marks the cause of such an error. It implements [authn.Lapser] itself, so that a page finds
// it behind any decorator.
type ended struct {
	error
	by *Scheme
}

func (e ended) Unwrap() error { return e.error }

// Lapsed implements [authn.Lapser].
func (e ended) Lapsed(r *http.Request, _ error) (bool, error) { return true, e.by.site.Check(r) }

// Lapsed implements [authn.Lapser]: on a page, a credential that the wrapped scheme definitely
// rejects counts as no credential. Such a credential is unknown, expired or revoked, or its account
// is disabled. The cookie is removed and the visitor can log in again.
//
// A store failure is still answered with 503. Two cookies, or a cookie over plain http, are
// answered with 401. An unsafe request changes nothing: it must pass csrf.Site.Check, and is then
// redirected to the login.
func (s *Scheme) Lapsed(r *http.Request, err error) (bool, error) {
	var e ended
	if !errors.As(err, &e) {
		return false, nil
	}
	return e.Lapsed(r, err)
}
