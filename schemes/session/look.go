package session

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/sessions"
)

// look contains the cookie attributes and the idle timeout of a gorilla session.
type look struct {
	sameSite  http.SameSite
	secure    bool
	untilExit bool // without Max-Age, so the browser deletes it when it is closed
	idle      time.Duration
}

func (s *frame) look() look {
	return look{s.opts.SameSite, !s.site.IsLoopback(), s.opts.UntilBrowserCloses, s.opts.Idle}
}

// OptionsError is returned by Save if a field of [sessions.Options] has a value that is not
// supported. Nothing was saved.
type OptionsError struct{ Field, Problem string }

// Error returns the field and the accepted values.
func (e *OptionsError) Error() string {
	return fmt.Sprintf("session: Save: Options.%s %s", e.Field, e.Problem)
}

// lookOf returns the attributes for o, or an *OptionsError. A zero field means the setting of the
// scheme, because programs often set only one field. MaxAge 0 means a cookie without Max-Age, as
// documented by gorilla. own is true for the session of logged-in users, whose lifetime the scheme
// defines, whichever page saves it.
func (s *frame) lookOf(o *sessions.Options, own bool) (look, error) {
	is := s.look()
	if o == nil {
		return is, nil
	}
	most, untilExit, idle := int(is.idle.Seconds()), o.MaxAge == 0 || is.untilExit, is.idle
	if 0 < o.MaxAge && o.MaxAge < most {
		idle = time.Duration(o.MaxAge) * time.Second
	}
	fail := func(field, problem string, args ...any) (look, error) {
		return look{}, &OptionsError{field, fmt.Sprintf(problem, args...)}
	}
	switch {
	case o.Domain != "":
		return fail("Domain", "is %q (must be \"\"; the cookie is only for this host)", o.Domain)
	case o.Path != "" && o.Path != "/":
		return fail("Path", "is %q (must be /)", o.Path)
	case o.Partitioned:
		return fail("Partitioned", "is set (must be false; the cookie is only for pages of this site)")
	case o.SameSite == http.SameSiteNoneMode:
		return fail("SameSite", "is None (Lax or Strict)")
	case o.SameSite == http.SameSiteLaxMode && is.sameSite == http.SameSiteStrictMode:
		return fail("SameSite", "is Lax (must be Strict, as in session.Options)")
	case own && o.SameSite == http.SameSiteStrictMode && is.sameSite != o.SameSite:
		return fail("SameSite", "is Strict (set it in session.Options for the session of logged-in users)")
	case o.MaxAge > most:
		return fail("MaxAge", "is %d (at most %d seconds, which is session.Options.Idle)", o.MaxAge, most)
	case own && (idle != is.idle || untilExit != is.untilExit):
		return fail("MaxAge", "is %d (set Idle or UntilBrowserCloses in session.Options for the session of logged-in users)", o.MaxAge)
	}
	if o.SameSite == http.SameSiteStrictMode {
		is.sameSite = o.SameSite
	}
	is.secure = is.secure || o.Secure
	is.idle, is.untilExit = idle, untilExit
	return is, nil
}

// as sets the attributes on a cookie.
func (l look) as(c *http.Cookie) *http.Cookie {
	c.SameSite, c.Secure = l.sameSite, l.secure
	if l.untilExit && c.MaxAge > 0 {
		c.MaxAge = 0
	}
	return c
}
