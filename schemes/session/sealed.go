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

// SealedOptions configure [Sealed]. nil means the defaults. In its Options, an Idle of 0 means 2
// hours, and an Absolute of 0 means one day (or Idle if that is longer). The defaults are short
// because such a session cannot be revoked.
type SealedOptions struct {
	Options
	// Users, if it is not nil, loads the account on each request, with one query. A disabled
	// account, and a session with an old epoch (after a new password or "log out everywhere"), are
	// then rejected, and the identity has the current roles. Without Users, the session cannot list
	// or revoke credentials of other schemes; see login.FirstPartyOf.
	Users storage.Users
	// Space is the name space of the subjects. Set it if another account table uses the same master
	// key; see [storage.Spaced]. Cookies of another space are rejected. "" means the space of
	// Users, or none.
	Space string
}

// Sealed authenticates requests by cookies that contain the whole session, encrypted. The server
// stores nothing. Use it if there is no store that every process can query, or for a very large
// number of visitors with low security requirements. Otherwise use [Scheme].
//
// A sealed session cannot be revoked before it expires. After a logout, a copy of the cookie stays
// valid until Idle has passed since the cookie was created. A client can also send an old copy to
// restore the data in it. With SealedOptions.Users, every event that revokes all credentials of the
// account also revokes its sealed sessions, but a single logout does not.
//
// Concurrent requests that change the data overwrite each other: the last response wins. A Sealed
// is safe for concurrent use.
type Sealed struct {
	frame
	ring  *keys.Ring
	users storage.Users // nil: accounts are not loaded
	space string
}

// maxCookie is the largest size in bytes of a cookie that every browser stores, with name, value
// and attributes. RFC 6265bis, section 5.6, allows 4,096 for name and value.
const maxCookie = 4096

// NewSealed returns a scheme for the origin of site. It encrypts cookies with the newest key of
// ring, and accepts cookies that were encrypted with any key of ring. opts can be nil. It returns
// an error if ring or site is nil, if Remember is set, or if an option is invalid.
func NewSealed(ring *keys.Ring, site *csrf.Site, opts *SealedOptions) (*Sealed, error) {
	if ring == nil || site == nil {
		return nil, errors.New("session: NewSealed: the key ring and the site must be set (csrf.New or csrf.Loopback returns a site)")
	}
	var o SealedOptions
	if opts != nil {
		o = *opts
	}
	if o.Remember != nil {
		return nil, errors.New("session: NewSealed: Remember is not supported")
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
		return nil, fmt.Errorf("session: NewSealed: Space is %q, but the space of Users is %q", o.Space, have)
	}
	if err := storage.CheckSpace(o.Space); err != nil {
		return nil, fmt.Errorf("session: NewSealed: %w", err)
	}
	s := &Sealed{frame: f, ring: ring, users: o.Users, space: o.Space}
	s.perms, _ = o.Users.(storage.Permissions)
	s.accounts = s // without Users, nothing shows that the accounts are those of any store
	if o.Users != nil {
		s.accounts = storage.AccountStoreOf(o.Users)
	}
	return s, nil
}

// Authenticate authenticates a request by its session cookie. It returns [authn.ErrNoCredentials]
// if there is no cookie or no user is logged in. A cookie that is invalid or expired is rejected
// with 401, and the response deletes it. Two session cookies are rejected with 401 and not deleted,
// because one may be valid. Requests from other sites are rejected as by [Scheme.Authenticate].
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
	id := authn.Identity{Subject: c.subject, Scheme: "session", Roles: c.roles, Credential: c, AuthTime: c.authTime, ACR: c.acr, AMR: c.amr, Expires: s.end(c)}
	id.SetStore(s.accounts)
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

// own is Scheme.own for Sealed.
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

// find returns the content of a valid cookie. It returns errNoCookie, errSeveral, errSealed, an
// errOver or another error.
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

// bound returns the text to which a cookie of that name is bound.
func (s *Sealed) bound(cookie string) string {
	if s.space == "" {
		return cookie
	}
	return cookie + "\x00" + s.space
}

// end returns the time at which the session expires if it is not used again.
func (s *Sealed) end(c *content) time.Time {
	idle, absolute := c.seen.Add(s.opts.Idle), c.created.Add(s.opts.Absolute)
	if absolute.Before(idle) {
		return absolute
	}
	return idle
}

// current returns the valid content of the request's cookie, or nil.
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

// set seals c with the current time as last use, and sets the cookie on the response.
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
	// The secret of the tokens is not the value of the cookie, which changes with each sealing.
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

// Renew sends the cookie again with its new expiry, if it was sealed at least Options.Interval ago.
// See also [Scheme.Renew].
func (s *Sealed) Renew(w http.ResponseWriter, r *http.Request, id authn.Identity) error {
	s.answers(w)
	c, ok := s.own(id)
	if !ok {
		return nil
	}
	if age := s.now().Sub(c.seen); age >= 0 && age < s.opts.Interval { // if it is negative, the clock was ahead
		return nil
	}
	fresh := *c
	if err := s.set(w, s.cookie, &fresh); err != nil {
		return err
	}
	s.issued(w, r, &fresh)
	return nil
}

// Start is [Scheme.Start] for sealed sessions. The CSRF tokens of the new session come from a
// new secret. Start returns [ErrTooLarge] if the data that is kept does not fit into the cookie.
func (s *Sealed) Start(w http.ResponseWriter, r *http.Request, login authn.Login) error {
	if !storage.BelongsTo(s.space, login.Subject) {
		return fmt.Errorf("session: Start: the login is not in the space %q", s.space)
	}
	old, err := s.current(r, s.cookie)
	if err != nil {
		return err
	}
	now := s.now()
	next := content{subject: login.Subject, epoch: login.Epoch, roles: login.Roles, authTime: now, acr: login.ACR, amr: login.AMR, created: now}
	if next.secret, err = s.newSecret(); err != nil {
		return err
	}
	if at := login.AuthTime; !at.IsZero() && at.Before(now) {
		next.authTime = credential.Stamp(at)
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

// EndCurrent deletes the browser's cookie. A copy of the cookie stays valid until it expires; see
// [Sealed]. It returns the same errors as [Scheme.EndCurrent].
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

// Login is [Scheme.Login] for sealed sessions.
func (s *Sealed) Login(pw authn.PasswordChecker) http.Handler { return s.loginEndpoint(s, pw) }

// Logout is [Scheme.Logout] for sealed sessions, with the limits of [Sealed.EndCurrent].
func (s *Sealed) Logout() http.Handler { return s.logoutEndpoint(s) }

// LoginForm is [Scheme.LoginForm] for sealed sessions.
func (s *Sealed) LoginForm(pw authn.PasswordChecker, opts *FormOptions) http.Handler {
	return s.loginForm(s, pw, opts, false)
}

// LogoutForm is [Scheme.LogoutForm] for sealed sessions, with the limits of [Sealed.EndCurrent].
func (s *Sealed) LogoutForm(fallback string) http.Handler { return s.logoutForm(s, fallback) }
