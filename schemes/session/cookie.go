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

// format is the format of the cookie values.
var format = credential.MustFormat("vss")

// hostPrefix makes browsers reject a cookie that another host of the domain set, or that was set
// over plain HTTP (RFC 6265bis, section 4.1.3.2).
const hostPrefix = "__Host-"

// cookieName reports whether name is valid without a prefix. Browsers treat "__host-x" like
// "__Host-x".
func cookieName(name string) bool {
	lower := strings.ToLower(name)
	return credential.IsName(name) && len(name) <= 64 && !strings.HasPrefix(lower, "__host-") && !strings.HasPrefix(lower, "__secure-")
}

// wireName returns the cookie name for HTTPS or for loopback, depending on the site. The mode never
// changes, so the name of the other mode is never read.
func (s *frame) wireName(name string) string {
	if s.site.IsLoopback() {
		return name
	}
	return hostPrefix + name
}

// newCookie returns a cookie. A negative maxAge deletes it, and 0 omits Max-Age.
func (s *frame) newCookie(name, text string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: name, Value: text, Path: "/", MaxAge: maxAge, Secure: !s.site.IsLoopback(), HttpOnly: true, SameSite: s.opts.SameSite}
}

var (
	errNoCookie = errors.New("no session cookie")
	errSeveral  = errors.New("several cookies with the name of the session cookie")
	errLong     = fmt.Errorf("cookies too long, may contain %w", errSeveral)
	errShape    = errors.New("malformed session cookie")
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

// digestOf covers the name of the cookie, so that the value of one session is invalid under another
// name.
func digestOf(name, text string) storage.Digest {
	var buf [192]byte // names have at most 71 bytes and values 53, so it is not on the heap
	return sha256.Sum256(append(append(append(buf[:0], name...), '='), text...))
}

// maxAge returns the Max-Age of a session cookie that expires then.
func (s *frame) maxAge(expires, now time.Time) int {
	if s.opts.UntilBrowserCloses {
		return 0
	}
	return s.age(expires, now)
}

// age returns the Max-Age of a cookie that stays when the browser is closed.
func (s *frame) age(expires, now time.Time) int {
	return max(1, int((expires.Sub(now)+time.Second-1)/time.Second))
}

// send sets a cookie on a response. It forbids caching, even if the handler allowed it.
func (s *frame) send(w http.ResponseWriter, name, text string, maxAge int) {
	s.sendWith(w, name, text, text, maxAge)
}

// sendWith is send with a token secret that differs from the value of the cookie.
func (s *frame) sendWith(w http.ResponseWriter, name, text, secret string, maxAge int) {
	put(w, s.newCookies(name, text, secret, maxAge))
}

// sendAs is sendWith for a gorilla session, which can have its own cookie attributes.
func (s *frame) sendAs(w http.ResponseWriter, name, text, secret string, maxAge int, as look) {
	list := s.newCookies(name, text, secret, maxAge)
	as.as(list[0])
	put(w, list)
}

// put sets cookies on a response.
func put(w http.ResponseWriter, cookies []*http.Cookie) {
	h := w.Header()
	private(h)
	h.Set("Cache-Control", "no-store")
	for _, c := range cookies {
		// A later cookie replaces an earlier one of this response.
		if list := slices.DeleteFunc(h["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, c.Name+"=") }); len(list) > 0 {
			h["Set-Cookie"] = list
		} else {
			delete(h, "Set-Cookie")
		}
		http.SetCookie(w, c)
	}
}

// answered returns the value of the cookie in the response so far, or "" if the response deletes
// the cookie. ok is false if the response does neither.
func answered(answer http.Header, name string) (text string, ok bool) {
	for _, line := range answer["Set-Cookie"] {
		if rest, is := strings.CutPrefix(line, name+"="); is {
			text, _, _ = strings.Cut(rest, ";")
			ok = true
		}
	}
	return text, ok
}

// newCookies returns a cookie and, for the session cookie, also the cookie with its token.
func (s *frame) newCookies(name, text, secret string, maxAge int) []*http.Cookie {
	c := s.newCookie(name, text, maxAge)
	if s.opts.TokenCookie == "" || name != s.cookie {
		return []*http.Cookie{c}
	}
	token := s.newCookie(s.opts.TokenCookie, "", maxAge)
	token.HttpOnly = false // scripts must read it
	if text != "" {
		token.Value = csrf.SecretOf(secret)
	}
	return []*http.Cookie{c, token}
}

// private sets Vary for a response that depends on the cookie.
func private(h http.Header) {
	list := h["Vary"]
	if len(list) > 0 && list[0] == "Cookie" { // set by the middleware
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
