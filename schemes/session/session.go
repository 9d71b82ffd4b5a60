// Package session implements authentication by session cookies, like Django's sessions. A login
// creates a row on the server and a cookie that contains only 256 random bits. Use it for web pages
// of one origin. For programs and other origins, use one of the token schemes. Create a scheme with
// [New].
//
// A session expires after the idle and absolute timeouts (Options.Idle, Options.Absolute). It is
// revoked by a logout, a password change or "log out everywhere", and when the user is disabled.
// The store contains only the SHA-256 of the cookie, so a stolen table is useless to an attacker.
//
// Browsers attach cookies to requests from any site. Therefore package authn/csrf checks where
// every unsafe request comes from, including logins.
//
// [Store] implements sessions.Store of gorilla/sessions. It keeps session data in the same rows.
// Programs that use gorilla/sessions need no other change.
//
// [Sealed] keeps the whole session in an encrypted cookie and needs no store.
//
// The package is larger than others of this module, because sessions in a store, sealed cookies and
// remembered logins form one scheme with the same cookies, forms and responses.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// EveryRequest, as an Interval, records each use of a session.
const EveryRequest time.Duration = -1

// Rows is the store of the sessions.
type Rows interface {
	storage.Sessions
	storage.SessionList
	storage.Subjects
}

// Options configure a [Scheme]. nil means the defaults.
type Options struct {
	// Cookie is the name of the cookie, without the prefix "__Host-" that is added for HTTPS. ""
	// means "session".
	Cookie string
	// SameSite is the SameSite attribute of the cookie: Lax or Strict. 0 means Lax. None is an
	// error, because requests from other sites must not contain session cookies.
	SameSite http.SameSite
	// Idle is the idle timeout of a session. 0 means 14 days. At least one second.
	Idle time.Duration
	// Absolute is the absolute timeout of a session, at least Idle. 0 means 30 days, or Idle if
	// that is longer.
	Absolute time.Duration
	// Interval is the shortest time between two records of a session's use, and between two
	// extensions of its expiry. It must be below Idle. 0 means one minute. [EveryRequest] records
	// each use.
	Interval time.Duration
	// UntilBrowserCloses omits Max-Age from the cookie, so that the browser deletes it when it is
	// closed (many browsers restore it). The timeouts on the server still apply.
	UntilBrowserCloses bool
	// TokenCookie is the name of a second cookie with a CSRF token. Set "csrftoken" for front ends
	// that are written for Django. Scripts of the site read it and send it back as X-CSRFToken
	// ([csrf.Header]). It is set and deleted together with the session cookie. The server never
	// reads it, because a cookie proves nothing here: the header must match the session. "" means
	// no such cookie.
	TokenCookie string
	// MaxSessions is the largest number of sessions of a user. 0 means 1,000. [NoLimit] means any
	// number. A login above the limit is not rejected; it deletes the session that was unused for
	// the longest time. Remembered logins have a separate limit of the same number. A login above
	// that limit revokes the oldest.
	MaxSessions int
	// VisitorIdle is the idle timeout of a session without a user, unless its [sessions.Options]
	// set a time below Idle. It must be above Interval and at most Idle. 0 means one day, or Idle
	// if that is shorter.
	VisitorIdle time.Duration
	// VisitorsPerHour is the largest number of sessions without a user that one client address
	// (IPv4, or IPv6 /64) can create per hour. The same limit applies to an account that is
	// authenticated by other credentials. A tenth of them can be created immediately. Above the
	// limit, Save returns an [*authn.Error] with status 429. 0 means 600. [NoLimit] means any
	// number. The limits of the networks around an address are 4 times (IPv4 /28, IPv6 /56), 16
	// times (/24, /48) and 256 times (/16, /32) as high.
	VisitorsPerHour int
	// MaxVisitors is the largest number of sessions without a user that all anonymous clients
	// together can create within VisitorIdle. Half of them can be created immediately. Above the
	// limit, Save returns an [*authn.Error] with status 429. 0 means 100,000. [NoLimit] means any
	// number. The smallest value is 100.
	//
	// An IPv4 /16 or IPv6 /32 can create a quarter of them. For networks that create at most 3 per
	// hour, there is a separate reserve of half of MaxVisitors. Requests of users with other
	// credentials, and requests that a page of another site causes, are counted separately with the
	// same numbers. Visitors that have a session keep it, and a login never counts. Each process
	// counts in its own memory.
	MaxVisitors int
	// Remember, if it is not nil, enables "remember me": logins that outlive their session. The
	// rows must then also implement [storage.Families].
	Remember *RememberOptions
	// Realm is the realm in the challenge. "" means "api".
	Realm string
	// User returns the application's own account for the record of the session's user. nil means
	// a [*storage.Account]. If it returns an [*authn.Error], the request is
	// rejected. Any other error is answered with 503.
	User func(context.Context, storage.Account) (authn.User, error)
	// Proxies are trusted to report the client address, which is stored for the list of a user's
	// sessions.
	Proxies authn.TrustedProxies
	// Login configures the login endpoint and the login page. They also read a field "remember",
	// and the page reads "next". The page does not show Login.Members.
	Login login.Options
	// Audit receives session.created, session.rotated, session.ended, logout, refresh.reuse (a
	// remember cookie was used twice), credential.rejected (an expired session, or several
	// cookies), use.unrecorded and the events of logins.
	Audit *audit.Notifier
	// Logger receives warnings, for example if a use could not be recorded. nil means
	// slog.Default().
	Logger *slog.Logger
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
	// Rand is the source of random bytes. nil means crypto/rand.
	Rand io.Reader
}

// frame contains what Scheme and Sealed share: the cookie and the responses.
type frame struct {
	clock     func() time.Time // as set; nil means the system's
	site      *csrf.Site
	opts      Options
	cookie    string // name in HTTP headers
	challenge string
	noStore   []string            // value of Cache-Control
	perms     storage.Permissions // nil: the store has none
	endpoints login.Endpoints
	accounts  any // identifies the accounts; see storage.AccountStoreOf

	invalid  *authn.Error // the response to rejected sessions; deletes the cookies
	doubtful *authn.Error // the same response, but keeps the cookies, because one may be valid
}

func newFrame(site *csrf.Site, o Options) (frame, error) {
	clock := o.Clock
	o.defaults()
	if err := o.check(); err != nil {
		return frame{}, fmt.Errorf("session: %w", err)
	}
	s := frame{site: site, opts: o, clock: clock, challenge: credential.Challenge("Session", o.Realm), noStore: []string{"no-store"}}
	s.cookie = s.wireName(o.Cookie)
	s.invalid = authn.AuthenticationFailed("Invalid session.")
	s.doubtful = authn.AuthenticationFailed("Invalid session.")
	s.invalid.Cookies = s.newCookies(s.cookie, "", "", -1)
	s.endpoints = login.Endpoints{Challenge: s.Challenge}
	return s, nil
}

// Scheme authenticates requests by session cookies. It is safe for concurrent use.
type Scheme struct {
	frame
	rows Rows
	uses *credential.Uses

	memory   *memory          // nil: this scheme does not remember logins
	families storage.Families // rows, or nil
	visitors *visitors
}

// New returns a scheme with the sessions in rows, for the origin of site. opts can be nil. If rows
// also implements [storage.Permissions], HasPerm of the accounts reads their permissions from it. New
// returns an error if rows or site is nil, or if an option is invalid.
func New(rows Rows, site *csrf.Site, opts *Options) (*Scheme, error) {
	if rows == nil || site == nil {
		return nil, errors.New("session: New: the store and the site must be set (csrf.New or csrf.Loopback returns a site)")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.Audit.CheckStore(rows); err != nil {
		return nil, fmt.Errorf("session: New: %w", err)
	}
	f, err := newFrame(site, o)
	if err != nil {
		return nil, err
	}
	s := &Scheme{frame: f, rows: rows, uses: credential.NewUses(f.clock), visitors: newVisitors(&f.opts, f.clock)}
	s.accounts = storage.AccountStoreOf(rows)
	s.perms, _ = rows.(storage.Permissions)
	s.families, _ = rows.(storage.Families)
	if o.Remember != nil {
		if s.memory, err = s.newMemory(*o.Remember); err != nil {
			return nil, err
		}
	}
	return s, nil
}

const defaultCookie = "session"

func (o *Options) defaults() {
	if o.Cookie == "" {
		o.Cookie = defaultCookie
	}
	if o.SameSite == 0 {
		o.SameSite = http.SameSiteLaxMode
	}
	if o.Idle == 0 {
		o.Idle = 14 * 24 * time.Hour
	}
	if o.Absolute == 0 {
		o.Absolute = max(30*24*time.Hour, o.Idle)
	}
	if o.Interval == 0 {
		o.Interval = time.Minute
	}
	if o.VisitorIdle == 0 {
		o.VisitorIdle = min(max(defaultVisitorIdle, 2*o.Interval), o.Idle)
	}
	if o.VisitorsPerHour == 0 {
		o.VisitorsPerHour = defaultVisitors
	}
	if o.MaxVisitors == 0 {
		o.MaxVisitors = defaultMaxVisitors
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = defaultMax
	}
	if o.Realm == "" {
		o.Realm = "api"
	}
	o.Clock, o.Rand = credential.Sources(o.Clock, o.Rand)
}

func (o *Options) check() error {
	switch {
	case !cookieName(o.Cookie):
		return fmt.Errorf("Options.Cookie %q is invalid (letters, digits, - and _, without __Host- or __Secure-)", o.Cookie)
	case o.TokenCookie != "" && (!cookieName(o.TokenCookie) || strings.EqualFold(o.TokenCookie, o.Cookie)):
		return fmt.Errorf("Options.TokenCookie %q is invalid (letters, digits, - and _, without __Host- or __Secure-, and different from Cookie)", o.TokenCookie)
	case o.SameSite != http.SameSiteLaxMode && o.SameSite != http.SameSiteStrictMode:
		return errors.New("Options.SameSite is invalid (Lax or Strict)")
	case o.MaxSessions < NoLimit || o.MaxSessions > 1_000_000:
		return fmt.Errorf("Options.MaxSessions %d out of range (1 to 1,000,000, or NoLimit)", o.MaxSessions)
	case o.VisitorsPerHour < NoLimit || o.VisitorsPerHour > 1_000_000:
		return fmt.Errorf("Options.VisitorsPerHour %d out of range (1 to 1,000,000, or NoLimit)", o.VisitorsPerHour)
	case o.MaxVisitors != NoLimit && (o.MaxVisitors < minMaxVisitors || o.MaxVisitors > 100_000_000):
		return fmt.Errorf("Options.MaxVisitors %d out of range (100 to 100,000,000, or NoLimit)", o.MaxVisitors)
	case o.Idle < time.Second:
		return fmt.Errorf("Options.Idle %s out of range (at least 1s)", o.Idle)
	case o.VisitorIdle < time.Second || o.VisitorIdle > o.Idle || o.VisitorIdle <= o.Interval:
		return fmt.Errorf("Options.VisitorIdle %s out of range (at least 1s, more than Interval, at most Idle, %s)", o.VisitorIdle, o.Idle)
	case o.Absolute < o.Idle:
		return fmt.Errorf("Options.Absolute %s out of range (at least Idle, %s)", o.Absolute, o.Idle)
	case o.Interval < 0 && o.Interval != EveryRequest:
		return fmt.Errorf("Options.Interval %s is negative (0 or more, or EveryRequest)", o.Interval)
	case o.Interval >= o.Idle:
		return fmt.Errorf("Options.Interval %s out of range (less than Idle, %s)", o.Interval, o.Idle)
	}
	if err := credential.CheckRealm(o.Realm); err != nil {
		return err
	}
	return o.Login.Check(rememberField, nextField)
}

// Name returns "session".
func (s *frame) Name() string { return "session" }

// Headers returns "Cookie". An explicit Authorization header takes precedence over a session.
func (s *frame) Headers() []string { return []string{"Cookie"} }

// CredentialCookies returns the name of the session cookie.
func (s *frame) CredentialCookies() []string { return []string{s.cookie} }

// CredentialCookies returns the names of the session cookie and of the remember cookie.
func (s *Scheme) CredentialCookies() []string {
	if s.memory == nil {
		return s.frame.CredentialCookies()
	}
	return []string{s.cookie, s.memory.cookie}
}

// Challenge returns a challenge with an unregistered scheme, so that programs get a 401 but
// browsers open no password dialog.
func (s *frame) Challenge(*http.Request, error) string { return s.challenge }

// now returns the current time with the precision of stores.
func (s *frame) now() time.Time { return credential.Stamp(s.opts.Clock()) }
