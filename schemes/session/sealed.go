package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// SealedOptions change a Sealed; nil is fine. Of Options, Idle is two hours where 0 and
// Absolute a day: nobody can end such a session before.
type SealedOptions struct {
	Options
	// Users, where not nil, is asked at each request for the account: a disabled one and
	// one whose epoch moved (a new password, log-out-everywhere) is refused then, and
	// roles are those of now. It takes one query.
	Users storage.Users
	// Space is the name space of the subjects, where another account table shares the master
	// key; see storage.Spaced. A cookie of another space does not open. "" is that of Users,
	// or none.
	Space string
}

// Sealed authenticates by cookies that hold the whole session, encrypted: nothing is
// kept on the server. Use it where there is no store that every process can ask, or for
// very many visitors of little importance.
//
// A sealed session cannot be revoked before it expires: after a logout a copy of the
// cookie is as good as before, for Idle after it was made, and its data can be put back
// to what they were. With SealedOptions.Users whatever ends all of the account's
// credentials ends these too, but a single logout does not. Scheme has none of that.
//
// Requests that change the data at once overwrite each other: the last answer stays. It
// is safe for concurrent use.
type Sealed struct {
	frame
	ring  *keys.Ring
	users storage.Users // nil: nobody is asked
	space string
}

// maxCookie is the longest cookie that every browser keeps, in bytes: name, value and
// attributes (RFC 6265bis section 5.6 allows 4,096 for the first two).
const maxCookie = 4096

// NewSealed returns a scheme that seals under the newest key of ring and opens what was
// sealed under any of it, for the origin that site names.
func NewSealed(ring *keys.Ring, site *csrf.Site, opts *SealedOptions) (*Sealed, error) {
	if ring == nil || site == nil {
		return nil, errors.New("session: a master key and a site are needed")
	}
	var o SealedOptions
	if opts != nil {
		o = *opts
	}
	if o.Remember != nil {
		return nil, errors.New("session: Remember needs sessions with rows")
	}
	if o.Idle == 0 {
		o.Idle = 2 * time.Hour
	}
	if o.Absolute == 0 {
		o.Absolute = max(24*time.Hour, o.Idle)
	}
	f, err := newFrame(site, o.Options)
	if err != nil {
		return nil, err
	}
	if have := storage.SpaceOf(o.Users); o.Space == "" {
		o.Space = have
	} else if o.Users != nil && o.Space != have {
		return nil, fmt.Errorf("session: Space %q, but the space of Users is %q", o.Space, have)
	}
	if err := storage.CheckSpace(o.Space); err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	s := &Sealed{frame: f, ring: ring, users: o.Users, space: o.Space}
	s.perms, _ = o.Users.(storage.Permissions)
	return s, nil
}

// Authenticate opens the session cookie. It returns ErrNoCredentials if there is no cookie, or if
// no user is logged in. A cookie that does not open or has expired is refused with 401, and the
// answer deletes it; two cookies are refused with 401 and both are kept, since one may be valid.
// Requests from other sites are refused as by Scheme.
func (s *Sealed) Authenticate(r *http.Request) (authn.Identity, error) {
	c, err := s.find(r, s.cookie)
	switch {
	case errors.Is(err, errNoCookie):
		return authn.Identity{}, authn.ErrNoCredentials
	case errors.Is(err, errSeveral):
		s.several(r)
		return authn.Identity{}, s.refused(err, s.invalid)
	case errors.Is(err, errSealed), errors.Is(err, errOver):
		return authn.Identity{}, s.refused(err, s.invalid)
	case err != nil:
		return authn.Identity{}, err
	case c.subject == "":
		s.issued(nil, r, c)
		return authn.Identity{}, authn.ErrNoCredentials
	case !storage.BelongsTo(s.space, c.subject):
		return authn.Identity{}, s.refused(errSealed, s.invalid)
	}
	if err := s.fromHere(r, c.secret); err != nil {
		return authn.Identity{}, err
	}
	c.by = s
	id := authn.Identity{Subject: c.subject, Scheme: "session", Roles: c.roles, Credential: c, AuthTime: c.authTime, Expires: s.end(c)}
	if s.users == nil {
		return id, nil
	}
	u, err := s.account(r.Context(), c)
	if err != nil {
		return authn.Identity{}, err
	}
	id.Roles = u.Roles
	if id.User, err = s.user(r.Context(), u.WithPermissions(s.perms)); err != nil {
		return authn.Identity{}, err
	}
	return id, nil
}

// own is Scheme.own.
func (s *Sealed) own(id authn.Identity) (*content, bool) {
	c, ok := id.Credential.(*content)
	return c, ok && c.by == s
}

func (s *Sealed) account(ctx context.Context, c *content) (storage.User, error) {
	u, err := s.users.UserByID(ctx, c.subject)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		err = s.refused(err, s.invalid)
	case err != nil:
	default:
		if why := credential.CheckAccount(u, c.epoch); why != nil {
			err = s.refused(over(why.Error()), s.invalid)
		}
	}
	return u, err
}

// find returns the content of a live cookie: errNoCookie, errSeveral, errSealed, an
// errOver, or a fault.
func (s *Sealed) find(r *http.Request, cookie string) (*content, error) {
	text, err := cookieValue(r, cookie)
	if err != nil {
		return nil, err
	}
	if !s.site.Secure(r) {
		return nil, insecure{over(s.site.Insecure(r))}
	}
	c, err := open(s.ring, keys.SessionSeal, s.bound(cookie), text)
	if err != nil {
		return nil, err
	}
	if now := s.now(); !now.Before(s.end(c)) || ahead(now, c.created, c.seen) {
		s.notify(audit.Context(r), audit.CredentialRejected, &storage.Session{Subject: c.subject, Epoch: c.epoch}, reasonExpired)
		return nil, over("expired")
	}
	return c, nil
}

// bound is what a cookie of that name is bound to.
func (s *Sealed) bound(cookie string) string {
	if s.space == "" {
		return cookie
	}
	return cookie + "\x00" + s.space
}

// end is when a session ends unless it is used before.
func (s *Sealed) end(c *content) time.Time {
	idle, absolute := c.seen.Add(s.opts.Idle), c.created.Add(s.opts.Absolute)
	if absolute.Before(idle) {
		return absolute
	}
	return idle
}

// current returns the live content of the request, or nil. The error is a fault.
func (s *Sealed) current(r *http.Request, cookie string) (*content, error) {
	c, err := s.find(r, cookie)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, errNoCookie), errors.Is(err, errSeveral), errors.Is(err, errSealed), errors.Is(err, errOver):
		return nil, nil
	}
	return nil, err
}

// set seals c, as used now, into a cookie of the answer.
func (s *Sealed) set(w http.ResponseWriter, cookie string, c *content) error {
	return s.setAs(w, cookie, c, s.look())
}

func (s *Sealed) setAs(w http.ResponseWriter, cookie string, c *content, as look) error {
	c.seen = s.now()
	text, err := seal(s.ring, keys.SessionSeal, s.opts.Rand, s.bound(cookie), c)
	if err != nil {
		return err
	}
	maxAge := s.maxAge(s.end(c), c.seen)
	if len(as.as(s.newCookie(cookie, text, maxAge)).String()) > maxCookie {
		return ErrTooLarge
	}
	// The secret of the tokens is not the cookie's text, which changes with each sealing.
	s.sendAs(w, cookie, text, c.secret, maxAge, as)
	return nil
}

func (s *Sealed) newSecret() (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// Renew sends the cookie again, with its new end, where it was sealed Options.Interval
// ago. See also Scheme.Renew.
func (s *Sealed) Renew(w http.ResponseWriter, r *http.Request, id authn.Identity) error {
	s.answers(w)
	c, ok := s.own(id)
	if !ok {
		return nil
	}
	if age := s.now().Sub(c.seen); age >= 0 && age < s.opts.Interval { // below 0 it was sealed by a clock that was ahead
		return nil
	}
	fresh := *c
	if err := s.set(w, s.cookie, &fresh); err != nil {
		return err
	}
	s.issued(w, r, &fresh)
	return nil
}

// Start is Scheme.Start. The new session has another secret for its tokens. The error is
// ErrTooLarge where the data that go over do not fit, or a fault.
func (s *Sealed) Start(w http.ResponseWriter, r *http.Request, login authn.Login) error {
	if !storage.BelongsTo(s.space, login.Subject) {
		return fmt.Errorf("session: the login is not of the space %q", s.space)
	}
	old, err := s.current(r, s.cookie)
	if err != nil {
		return err
	}
	now := s.now()
	next := content{subject: login.Subject, epoch: login.Epoch, roles: login.Roles, authTime: now, created: now}
	if next.secret, err = s.newSecret(); err != nil {
		return err
	}
	if old != nil && (old.subject == "" || old.subject == login.Subject) {
		next.data = old.data
	}
	if err := s.set(w, s.cookie, &next); err != nil {
		return err
	}
	s.issued(w, r, &next)
	s.notify(audit.Context(r), audit.SessionCreated, &storage.Session{Subject: next.subject, Epoch: next.epoch}, "")
	return nil
}

// EndCurrent deletes the browser's cookie. A copy of it stays good until it expires: see
// Sealed. Its errors are those of Scheme.EndCurrent.
func (s *Sealed) EndCurrent(w http.ResponseWriter, r *http.Request) error {
	if err := s.oneCookie(r, s.cookie); err != nil {
		return err
	}
	old, err := s.current(r, s.cookie)
	if err != nil {
		return err
	}
	if old != nil {
		s.notify(audit.Context(r), audit.Logout, &storage.Session{Subject: old.subject, Epoch: old.epoch}, "")
	}
	s.send(w, s.cookie, "", -1)
	return nil
}

func (s *Sealed) begins(w http.ResponseWriter, r *http.Request, login authn.Login, _ bool) error {
	return s.Start(w, r, login)
}

// Login is Scheme.Login.
func (s *Sealed) Login(pw authn.PasswordChecker) http.Handler { return s.loginEndpoint(s, pw) }

// Logout is Scheme.Logout, as far as EndCurrent can end the session.
func (s *Sealed) Logout() http.Handler { return s.logoutEndpoint(s) }

// LoginForm is Scheme.LoginForm.
func (s *Sealed) LoginForm(pw authn.PasswordChecker, opts *FormOptions) http.Handler {
	return s.loginForm(s, pw, opts, false)
}

// LogoutForm is Scheme.LogoutForm, as far as EndCurrent can end the session.
func (s *Sealed) LogoutForm(fallback string) http.Handler { return s.logoutForm(s, fallback) }
