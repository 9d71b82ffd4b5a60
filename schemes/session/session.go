// Package session implements authentication by a cookie, after Django's sessions: a login
// creates a row on the server and a cookie that holds only a random name of 256 bits. Use it
// for web pages of one origin; for programs and other origins use one of the token schemes.
//
// A session ends by logout, after the idle and absolute timeouts (Options.Idle,
// Options.Absolute), when the password changes, and when the user is disabled or logs out
// everywhere. The store keeps the SHA-256 of the cookie, so a stolen table is useless to an
// attacker.
//
// Browsers attach cookies to requests from any site. So package authn/csrf checks where every
// unsafe request comes from, also at login.
//
// Store is a sessions.Store of gorilla/sessions over the same rows, for data of the session:
// programs that are written against it keep their code.
//
// The package is larger than others of this module, because sessions in a store, sealed cookies and
// remembered logins are one scheme with the same cookies, forms and answers.
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

// EveryRequest, as an Interval, writes each use of a session.
const EveryRequest time.Duration = -1

// Rows is what the scheme keeps its sessions in.
type Rows interface {
	storage.Sessions
	storage.SessionList
	storage.Subjects
}

// Options change a Scheme; nil is fine.
type Options struct {
	// Cookie is the cookie's name without the "__Host-" that it gets over https;
	// "session" where "".
	Cookie string
	// SameSite of the cookie: Lax where 0, or Strict. None is refused: other sites'
	// requests are not for cookies.
	SameSite http.SameSite
	// Idle is how long a session lives without being used; 0 is two weeks.
	Idle time.Duration
	// Absolute is how long it lives at most; 0 is 30 days. Not below Idle.
	Absolute time.Duration
	// Interval is how often a use is written at most, and with it the new end of the
	// session; 0 is a minute. Below Idle. EveryRequest writes each.
	Interval time.Duration
	// UntilBrowserCloses leaves Max-Age out of the cookie, so that the browser forgets
	// it when it is closed (many restore it). The server's limits hold all the same.
	UntilBrowserCloses bool
	// TokenCookie names a second cookie, "csrftoken" for front ends that are written for
	// Django: scripts of the site's pages read it and send it back as X-CSRFToken
	// (csrf.Header). It comes and goes with the session's. The server never reads it,
	// since a cookie proves nothing here: what counts is that the header fits the session.
	// "" sets none.
	TokenCookie string
	// MaxSessions is how many sessions a user has; 0 is 1,000, NoLimit any number. A login
	// beyond it is not refused: it ends the session that was not used for longest. Of
	// remembered logins as many again are kept, and the oldest ends.
	MaxSessions int
	// VisitorIdle is how long a session in which nobody is logged in lives unused, unless its Options
	// of gorilla/sessions say a time below Idle. 0 is a day, or Idle if that is shorter. Above Interval.
	VisitorIdle time.Duration
	// VisitorsPerHour is how many such sessions an address (IPv4, or IPv6 /64), and an account that
	// another credential proved, can begin in an hour, a tenth of them at once; Save returns an
	// *authn.Error of 429 beyond. 0 is 600, NoLimit any number. The networks around an address have 4
	// (IPv4 /28, IPv6 /56), 16 (/24, /48) and 256 times (/16, /32) as many.
	VisitorsPerHour int
	// MaxVisitors is how many such sessions all strangers together can begin within VisitorIdle, half of
	// them at once; 0 is 100,000, NoLimit any number. Not below 100. Save returns an *authn.Error of 429
	// beyond. An IPv4 /16 or IPv6 /32 gets a quarter of that, and networks that begin at most 3 an hour
	// have a reserve of half as many more. Requests of other credentials' users and those that a page of
	// another site causes are counted apart, with the same numbers. Visitors that have a session keep it,
	// and a login never counts. Each process counts in its own memory.
	MaxVisitors int
	// Remember, where not nil, lets logins outlive their session: "remember me". The rows
	// must be a storage.Families too.
	Remember *RememberOptions
	// Realm is named in the challenge; "api" if "".
	Realm string
	// User makes the application's own account of the record that came with the
	// session. nil leaves *storage.Account. Its *authn.Error refuses the request; any
	// other error is a fault.
	User func(context.Context, storage.Account) (authn.User, error)
	// Proxies are believed about where a client is; it is kept for the list of a
	// user's sessions.
	Proxies authn.TrustedProxies
	// Login changes the login endpoint and the login page, which read a field "remember" too,
	// and the page "next". The page does not show its Members.
	Login login.Options
	// Audit receives session.created, session.rotated, session.ended, logout, refresh.reuse (a
	// remember cookie was used twice), credential.rejected (an expired session, or several
	// cookies), use.unrecorded and the events of logins.
	Audit *audit.Notifier
	// Logger receives, at Warn, uses that could not be written; slog.Default() if nil.
	Logger *slog.Logger
	// Clock is time.Now where nil.
	Clock func() time.Time
	// Rand is crypto/rand where nil.
	Rand io.Reader
}

// frame is what sessions with rows and sealed ones share: the cookie and the answers.
type frame struct {
	clock     func() time.Time // as given: nil is the system's
	site      *csrf.Site
	opts      Options
	cookie    string // the name on the wire
	challenge string
	noStore   []string            // the value of Cache-Control
	perms     storage.Permissions // nil: the store keeps none
	endpoints login.Endpoints

	invalid  *authn.Error // every refused session looks like this, and the browser drops it
	doubtful *authn.Error // looks the same, and the browser keeps its cookies: one may be good
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

// Scheme authenticates by session cookies. It is safe for concurrent use.
type Scheme struct {
	frame
	rows Rows
	uses *credential.Uses

	memory   *memory          // nil: nobody is remembered by this scheme
	families storage.Families // those of rows, or nil
	visitors *visitors
}

// New returns a scheme over rows for the origin that site names. Where rows is a
// storage.Permissions too, the accounts it loads can be asked HasPerm.
func New(rows Rows, site *csrf.Site, opts *Options) (*Scheme, error) {
	if rows == nil || site == nil {
		return nil, errors.New("session: rows and a site are needed")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	f, err := newFrame(site, o)
	if err != nil {
		return nil, err
	}
	s := &Scheme{frame: f, rows: rows, uses: credential.NewUses(f.clock), visitors: newVisitors(&f.opts, f.clock)}
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
		return fmt.Errorf("cookie name %q: want letters, digits, - and _, without __Host- or __Secure-", o.Cookie)
	case o.TokenCookie != "" && (!cookieName(o.TokenCookie) || strings.EqualFold(o.TokenCookie, o.Cookie)):
		return fmt.Errorf("token cookie name %q: want one as for Cookie, and another", o.TokenCookie)
	case o.SameSite != http.SameSiteLaxMode && o.SameSite != http.SameSiteStrictMode:
		return errors.New("SameSite is neither Lax nor Strict")
	case o.MaxSessions < NoLimit || o.MaxSessions > 1_000_000:
		return fmt.Errorf("MaxSessions %d out of range (1 to 1,000,000, or NoLimit)", o.MaxSessions)
	case o.VisitorsPerHour < NoLimit || o.VisitorsPerHour > 1_000_000:
		return fmt.Errorf("VisitorsPerHour %d out of range (1 to 1,000,000, or NoLimit)", o.VisitorsPerHour)
	case o.MaxVisitors != NoLimit && (o.MaxVisitors < minMaxVisitors || o.MaxVisitors > 100_000_000):
		return fmt.Errorf("MaxVisitors %d out of range (100 to 100,000,000, or NoLimit)", o.MaxVisitors)
	case o.Idle < time.Second:
		return fmt.Errorf("idle time %s is below a second", o.Idle)
	case o.VisitorIdle < time.Second || o.VisitorIdle > o.Idle || o.VisitorIdle <= o.Interval:
		return fmt.Errorf("VisitorIdle %s out of range (a second, and above Interval, to the idle time %s)", o.VisitorIdle, o.Idle)
	case o.Absolute < o.Idle:
		return fmt.Errorf("absolute time %s is below the idle time %s", o.Absolute, o.Idle)
	case o.Interval < 0 && o.Interval != EveryRequest:
		return fmt.Errorf("interval %s is negative and not EveryRequest", o.Interval)
	case o.Interval >= o.Idle:
		return fmt.Errorf("interval %s is not below the idle time %s: sessions in use would end between two writes", o.Interval, o.Idle)
	}
	if err := credential.CheckRealm(o.Realm); err != nil {
		return err
	}
	return o.Login.Check(rememberField, nextField)
}

// Name returns "session".
func (s *frame) Name() string { return "session" }

// Headers returns Cookie: an explicit Authorization goes before a session.
func (s *frame) Headers() []string { return []string{"Cookie"} }

// CredentialCookies returns the name of the session's cookie on the wire.
func (s *frame) CredentialCookies() []string { return []string{s.cookie} }

// CredentialCookies returns the names of the cookies of sessions and of remembered logins.
func (s *Scheme) CredentialCookies() []string {
	if s.memory == nil {
		return s.frame.CredentialCookies()
	}
	return []string{s.cookie, s.memory.cookie}
}

// Challenge returns a challenge of no registered scheme, so that programs see a 401;
// browsers show no dialogue for it.
func (s *frame) Challenge(*http.Request, error) string { return s.challenge }

// now is the time as every store keeps it.
func (s *frame) now() time.Time { return credential.Stamp(s.opts.Clock()) }
