package session

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// ended marks the reason of a refusal that is definite: the store said that there is no such
// session, or that it does not hold any more.
// It is an [authn.Lapser] itself, so that a page finds it behind any decorator.
type ended struct {
	error
	by *frame
}

func (e ended) Unwrap() error { return e.error }

// Lapsed implements [authn.Lapser].
func (e ended) Lapsed(r *http.Request, _ error) (bool, error) { return true, e.by.site.Check(r) }

// refused is the refusal of a session for that reason. One that is definite removes the cookie.
func (s *frame) refused(why error, definite *authn.Error) *authn.Error {
	if errors.Is(why, errSeveral) || errors.As(why, new(insecure)) {
		return s.doubtful.WithCause(why)
	}
	return definite.WithCause(ended{why, s})
}

// Lapsed implements [authn.Lapser]: pages for people treat an ended session as none. A request
// that is not safe is checked for where it comes from first.
func (s *frame) Lapsed(r *http.Request, err error) (bool, error) {
	var e ended
	if !errors.As(err, &e) {
		return false, nil
	}
	return e.Lapsed(r, err)
}
