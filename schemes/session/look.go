package session

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/sessions"
)

// look is how a gorilla session's cookie is sent and how long the session lives unused.
type look struct {
	sameSite  http.SameSite
	secure    bool
	untilExit bool // without Max-Age: the browser forgets it when it is closed
	idle      time.Duration
}

func (s *frame) look() look {
	return look{s.opts.SameSite, !s.site.IsLoopback(), s.opts.UntilBrowserCloses, s.opts.Idle}
}

// OptionsError is what Save returns for sessions.Options that it cannot honor. Nothing was
// written then.
type OptionsError struct{ Field, Problem string }

// Error names the field and what is accepted.
func (e *OptionsError) Error() string {
	return fmt.Sprintf("session: Save: Options.%s %s", e.Field, e.Problem)
}

// lookOf returns what Options ask for, or an *OptionsError. Fields that are zero are as the scheme
// has them, since a program that sets one field leaves the others so; MaxAge 0 means a cookie
// without Max-Age, as gorilla documents it. own is the session that people log in to: it lives as
// the scheme says, whatever page saves it.
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
		return fail("Domain", "is %q (accepted is \"\": the cookie belongs to this host alone)", o.Domain)
	case o.Path != "" && o.Path != "/":
		return fail("Path", "is %q (accepted is /)", o.Path)
	case o.Partitioned:
		return fail("Partitioned", "is set (the cookie is for pages of this site alone)")
	case o.SameSite == http.SameSiteNoneMode:
		return fail("SameSite", "is None (accepted are Lax and Strict)")
	case o.SameSite == http.SameSiteLaxMode && is.sameSite == http.SameSiteStrictMode:
		return fail("SameSite", "is Lax, and the scheme's is Strict")
	case own && o.SameSite == http.SameSiteStrictMode && is.sameSite != o.SameSite:
		return fail("SameSite", "is Strict: set it in session.Options for the session that users log in to")
	case o.MaxAge > most:
		return fail("MaxAge", "is %d (accepted are up to %d seconds, which is session.Options.Idle)", o.MaxAge, most)
	case own && (idle != is.idle || untilExit != is.untilExit):
		return fail("MaxAge", "is %d: set Idle or UntilBrowserCloses in session.Options for the session that users log in to", o.MaxAge)
	}
	if o.SameSite == http.SameSiteStrictMode {
		is.sameSite = o.SameSite
	}
	is.secure = is.secure || o.Secure
	is.idle, is.untilExit = idle, untilExit
	return is, nil
}

// as gives a cookie the look of a gorilla session.
func (l look) as(c *http.Cookie) *http.Cookie {
	c.SameSite, c.Secure = l.sameSite, l.secure
	if l.untilExit && c.MaxAge > 0 {
		c.MaxAge = 0
	}
	return c
}
