package session

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// ended marks a definite reason for a rejection: the store reported that the session does not exist
// or is no longer valid. It implements [authn.Lapser], so that a page finds it through any
// decorator.
type ended struct {
	error
	by *frame
}

func (e ended) Unwrap() error { return e.error }

// Lapsed implements [authn.Lapser].
func (e ended) Lapsed(r *http.Request, _ error) (bool, error) { return true, e.by.site.Check(r) }

// refused returns the rejection of a session for a reason. A definite rejection deletes the cookie.
func (s *frame) refused(why error, definite *authn.Error) *authn.Error {
	if errors.Is(why, errSeveral) || errors.As(why, new(insecure)) {
		return s.doubtful.WithCause(why)
	}
	return definite.WithCause(ended{why, s})
}

// Lapsed implements [authn.Lapser], so that pages for people treat an expired or revoked session as
// no session. It first checks where an unsafe request comes from.
func (s *frame) Lapsed(r *http.Request, err error) (bool, error) {
	var e ended
	if !errors.As(err, &e) {
		return false, nil
	}
	return e.Lapsed(r, err)
}
