package session

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// ended marks the reason of a refusal that is definite: the store said that there is no such
// session, or that it does not hold any more.
type ended struct{ error }

func (e ended) Unwrap() error { return e.error }

// refused is the refusal of a session for that reason. One that is definite removes the cookie.
func (s *frame) refused(why error, definite *authn.Error) *authn.Error {
	if errors.Is(why, errSeveral) || errors.As(why, new(insecure)) {
		return s.doubtful.WithCause(why)
	}
	return definite.WithCause(ended{why})
}

// Lapsed implements [authn.Lapser]: pages for people treat an ended session as none. A request
// that is not safe is checked for where it comes from first.
func (s *frame) Lapsed(r *http.Request, err error) (bool, error) {
	if !errors.As(err, new(ended)) {
		return false, nil
	}
	return true, s.site.Check(r)
}
