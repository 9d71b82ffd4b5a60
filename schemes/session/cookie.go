package session

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// format is that of the cookies' texts.
var format = credential.MustFormat("vss")

// hostPrefix makes browsers refuse a cookie that another host of the domain set, or
// that came over plain http (RFC 6265bis section 4.1.3.2).
const hostPrefix = "__Host-"

// cookieName wants a plain name: a browser would take "__host-x" for "__Host-x".
func cookieName(name string) bool {
	lower := strings.ToLower(name)
	return credential.IsName(name) && len(name) <= 64 && !strings.HasPrefix(lower, "__host-") && !strings.HasPrefix(lower, "__secure-")
}

// wireName is the cookie's name for the site's mode, which never changes: the name of
// the other mode is never read.
func (s *frame) wireName(name string) string {
	if s.site.IsLoopback() {
		return name
	}
	return hostPrefix + name
}

// newCookie makes a cookie; a negative maxAge ends it, 0 leaves its end out.
func (s *frame) newCookie(name, text string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: name, Value: text, Path: "/", MaxAge: maxAge, Secure: !s.site.IsLoopback(), HttpOnly: true, SameSite: s.opts.SameSite}
}

var (
	errNoCookie = errors.New("no session cookie")
	errSeveral  = errors.New("several cookies of the session's name")
	errLong     = fmt.Errorf("a Cookie header that is too long, and may hold %w", errSeveral)
	errShape    = errors.New("not of a session's shape")
)

// cookieValue is authn.Cookie with the errors of this package.
func cookieValue(r *http.Request, name string) (string, error) {
	text, err := authn.Cookie(r, name)
	switch err {
	case authn.ErrNoCredentials:
		err = errNoCookie
	case authn.ErrSeveralCookies:
		err = errSeveral
	case authn.ErrLongCookies:
		err = errLong
	}
	return text, err
}

// digestOf binds a cookie's text to its name: that of one session is worth nothing
// under the name of another.
func digestOf(name, text string) storage.Digest {
	var buf [192]byte // a name has at most 71 bytes and a text 53: not on the heap
	return sha256.Sum256(append(append(append(buf[:0], name...), '='), text...))
}

// maxAge is that of a cookie for a session that ends then.
func (s *frame) maxAge(expires, now time.Time) int {
	if s.opts.UntilBrowserCloses {
		return 0
	}
	return s.age(expires, now)
}

// age is maxAge of a cookie that outlives the browser.
func (s *frame) age(expires, now time.Time) int {
	return max(1, int((expires.Sub(now)+time.Second-1)/time.Second))
}

// send sets a cookie on an answer, which no cache may keep then, whatever the handler
// said of it.
func (s *frame) send(w http.ResponseWriter, name, text string, maxAge int) {
	s.sendWith(w, name, text, text, maxAge)
}

// sendWith is send where the secret of the tokens is not the cookie's text.
func (s *frame) sendWith(w http.ResponseWriter, name, text, secret string, maxAge int) {
	put(w, s.newCookies(name, text, secret, maxAge))
}

// sendAs is sendWith for a gorilla session, which may have a look of its own.
func (s *frame) sendAs(w http.ResponseWriter, name, text, secret string, maxAge int, as look) {
	list := s.newCookies(name, text, secret, maxAge)
	as.as(list[0])
	put(w, list)
}

// put sets cookies on an answer.
func put(w http.ResponseWriter, cookies []*http.Cookie) {
	h := w.Header()
	private(h)
	h.Set("Cache-Control", "no-store")
	for _, c := range cookies {
		// An earlier one of this answer counts no more.
		if list := slices.DeleteFunc(h["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, c.Name+"=") }); len(list) > 0 {
			h["Set-Cookie"] = list
		} else {
			delete(h, "Set-Cookie")
		}
		http.SetCookie(w, c)
	}
}

// answered returns the text of the cookie that the answer sets by now, "" if it deletes the
// cookie; ok is false if it does neither.
func answered(answer http.Header, name string) (text string, ok bool) {
	for _, line := range answer["Set-Cookie"] {
		if rest, is := strings.CutPrefix(line, name+"="); is {
			text, _, _ = strings.Cut(rest, ";")
			ok = true
		}
	}
	return text, ok
}

// newCookies makes a cookie and, beside the session's own, that of its token.
func (s *frame) newCookies(name, text, secret string, maxAge int) []*http.Cookie {
	c := s.newCookie(name, text, maxAge)
	if s.opts.TokenCookie == "" || name != s.cookie {
		return []*http.Cookie{c}
	}
	token := s.newCookie(s.opts.TokenCookie, "", maxAge)
	token.HttpOnly = false // it is for scripts
	if text != "" {
		token.Value = csrf.SecretOf(secret)
	}
	return []*http.Cookie{c, token}
}

// private marks an answer that depends on the cookie.
func private(h http.Header) {
	list := h["Vary"]
	if len(list) > 0 && list[0] == "Cookie" { // the middleware said so
		return
	}
	for _, v := range list {
		for name := range strings.SplitSeq(v, ",") {
			if n := strings.TrimSpace(name); n == "*" || strings.EqualFold(n, "Cookie") {
				return
			}
		}
	}
	h.Add("Vary", "Cookie")
}
