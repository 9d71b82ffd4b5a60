package session

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// row is the Identity.Credential of a session: the record that authentication loaded.
type row struct {
	credential.Redacted // so that a handler can log it
	storage.Session
	by     *frame // the scheme that loaded it
	text   string // of the cookie; leaves the package only in the cookie; "" in a kept row
	secret string // for form tokens, derived from text; only set in a kept row
	next   *begun // for a session that begins with this request; nil if it existed
	shared bool   // by several requests, so it must not be modified
}

// CloneCredential returns a copy for a handler; see [authn.Identity].
func (v *row) CloneCredential() any {
	c := *v
	c.Data = slices.Clone(v.Data)
	return &c
}

// own returns the session with which this scheme authenticated the identity. It returns false for
// the session of another scheme, which may have another cookie or other accounts.
func (s *Scheme) own(id authn.Identity) (*row, bool) {
	v, ok := id.Credential.(*row)
	return v, ok && v.by == &s.frame
}

// SessionID returns the ID of the session that authenticated the identity, for [Scheme.Sessions]
// and [Scheme.EndOne]. It returns "" if another scheme authenticated the identity.
func SessionID(id authn.Identity) string {
	if loaded, ok := id.Credential.(*row); ok {
		return loaded.ID
	}
	return ""
}

// Authenticate authenticates a request by its session cookie. It needs one query. A session without
// a user counts as no credentials.
//
// It rejects with 401:
//   - a cookie without a valid session of a user: the session is unknown, logged out, expired or
//     outdated, or the account is disabled. The response is the same for all of these and deletes
//     the cookie, so the browser's next request is anonymous. The reason is logged.
//   - two cookies with the name of the session cookie. The cookies are not deleted, because one may
//     be valid and an attacker may have planted the other.
//
// On a page for people ([authn.Page]), an expired or revoked session counts as no credentials.
//
// If an unsafe request does not come from a page of the site, it is rejected with 403. If an unsafe
// request has no header that shows its origin, and has the body of a form, it must contain a
// [Token]. The body is read to find the token, and stays readable.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	loaded, u, err := s.load(r)
	var was *row // a visitor's session
	switch {
	case errors.Is(err, errNoCookie):
		err = authn.ErrNoCredentials
	case err == nil && loaded.Subject == "":
		if authn.WantsIssued(r) {
			authn.Issued(r, visitor(loaded.ID), loaded.text)
		}
		was, err = loaded, authn.ErrNoCredentials
	}
	if s.memory != nil && (err == authn.ErrNoCredentials || isOver(err)) && !authn.IsSubrequest(r.Context()) {
		loaded, u, err = s.remembered(r, was, err)
	}
	if err != nil {
		return authn.Identity{}, err
	}
	if loaded.next == nil { // otherwise remembered has checked it
		if err := s.fromHere(r, loaded.text); err != nil {
			return authn.Identity{}, err
		}
	}
	loaded.by = &s.frame
	id := authn.Identity{Subject: u.ID, Scheme: "session", Roles: u.Roles, Credential: loaded, AuthTime: loaded.AuthTime, ACR: loaded.ACR, AMR: loaded.AMR, Expires: loaded.Expires}
	id.SetStore(s.accounts)
	if id.User, err = s.user(r.Context(), u.WithPermissions(s.perms)); err != nil {
		return authn.Identity{}, err
	}
	return s.kept(id, loaded, u.LeaseOf(s.rows)), nil
}

// maxKept is the largest size in bytes of session data that is kept for later requests.
const maxKept = 4 << 10

// kept marks an identity that later requests with the session can reuse until the next use must be
// recorded. If Options.User is set, the identity is not kept.
func (s *Scheme) kept(id authn.Identity, loaded *row, lease storage.Lease) authn.Identity {
	due := s.due(&loaded.Session)
	now := s.now()
	if lease == nil || loaded.next != nil || s.opts.User != nil || len(loaded.Data) > maxKept || !now.Before(due) || loaded.LastSeen.After(now) {
		return id
	}
	if loaded.Ends.Before(due) {
		due = loaded.Ends
	}
	id.Credential = &row{Session: loaded.Session, by: loaded.by, secret: csrf.SecretOf(loaded.text), shared: true} // without the cookie's text
	return id.Kept(s, authn.Keep{
		Lease: lease, From: loaded.LastSeen, Until: due, Clock: s.clock, Size: 800 + len(loaded.Data),
		Check: func(r *http.Request) error {
			if !s.site.Secure(r) {
				return authn.ErrAskAgain
			}
			return nil // never called for unsafe requests: see authn.Ambient
		},
	})
}

// Presented implements [authn.Keeper]. With a store that returns leases (package cached),
// identities are kept until the use of the session must be recorded again.
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	if text, err := cookieValue(r, s.cookie); err == nil && format.Fits(text) {
		return text, false
	}
	return "", false
}

// ahead reports whether one of the times was written by a clock that was ahead. Such a session
// would have no idle timeout until the clock reaches that time, so it counts as expired.
func ahead(now time.Time, times ...time.Time) bool {
	return slices.ContainsFunc(times, func(t time.Time) bool { return storage.LoginAhead(now, t) })
}

// due returns the time at which the use of a session must be recorded again.
func (s *Scheme) due(v *storage.Session) time.Time { return v.LastSeen.Add(s.opts.Interval) }

// fromHere rejects an unsafe request that may come from another site.
func (s *frame) fromHere(r *http.Request, secret string) error {
	if !csrf.IsUnsafe(r) { // a shortcut; both checks accept it
		return nil
	}
	if err := s.site.Check(r); err != nil || !csrf.NeedsToken(r) {
		return err
	}
	return csrf.CheckToken(r, csrf.SecretOf(secret))
}

// Token returns a CSRF token for forms of the identity's session. Send it in the form field
// [csrf.Field] or in the header [csrf.Header]. Each call returns a different text. It returns "" if
// another scheme authenticated the identity.
func Token(id authn.Identity) string {
	switch loaded := id.Credential.(type) {
	case *row:
		if loaded.secret != "" {
			return csrf.Mask(loaded.secret)
		}
		return csrf.Mask(csrf.SecretOf(loaded.text))
	case *content:
		return csrf.Mask(csrf.SecretOf(loaded.secret))
	}
	return ""
}

// load returns the valid session of the scheme's own cookie. It returns errNoCookie, a rejection or
// the error of the store.
func (s *Scheme) load(r *http.Request) (*row, storage.User, error) {
	loaded, u, err := s.find(r, s.cookie)
	switch {
	case errors.Is(err, errSeveral):
		s.several(r)
		return nil, u, s.refused(err, s.invalid)
	case errors.Is(err, errShape), errors.Is(err, storage.ErrNotFound), errors.Is(err, errOver):
		return nil, u, s.refused(err, s.invalid)
	}
	return loaded, u, err
}

// isOver reports whether a rejection of load means that the session is no longer valid, so that a
// remembered login can replace it.
func isOver(err error) bool {
	return errors.Is(err, errShape) || errors.Is(err, storage.ErrNotFound) || errors.Is(err, errOver)
}

// errOver means that an existing session is no longer valid.
var errOver = errors.New("the session is no longer valid")

// insecure is an errOver about how the cookie was sent, not about the session.
type insecure struct{ over }

type over string

func (o over) Error() string { return string(o) }
func (o over) Unwrap() error { return errOver }

// errAhead is the errOver of a session whose times are in the future. The session becomes valid
// again when the clock reaches them, so a logout deletes it.
const errAhead = over("used by a clock that was ahead")

// find returns the valid session of a cookie. It returns errNoCookie, errSeveral, errShape,
// storage.ErrNotFound, an errOver or the error of the store. With an errOver of a session that exists,
// it also returns the session.
func (s *Scheme) find(r *http.Request, cookie string) (*row, storage.User, error) {
	text, err := cookieValue(r, cookie)
	switch {
	case err != nil:
		return nil, storage.User{}, err
	case !format.Valid(text):
		return nil, storage.User{}, errShape
	}
	if !s.site.Secure(r) {
		return nil, storage.User{}, insecure{over(s.site.Insecure(r))}
	}
	v, u, err := s.rows.SessionByDigest(r.Context(), digestOf(cookie, text))
	switch {
	case err != nil:
		return nil, storage.User{}, err
	case v.Subject != "" && !u.Active:
		err = over(credential.ErrDisabled.Error())
	case v.Epoch != u.Epoch:
		err = over(credential.ErrEpoch.Error())
	case v.Expired(s.now()):
		s.notify(audit.Context(r), audit.CredentialRejected, &v, reasonExpired)
		err = over("expired")
	case ahead(s.now(), v.Created, v.LastSeen):
		s.notify(audit.Context(r), audit.CredentialRejected, &v, reasonExpired)
		err = errAhead
	}
	if err != nil {
		return &row{Session: v, text: text}, storage.User{}, err
	}
	if s.memory != nil && !authn.Explained(r.Context()) { // a copy of the previous remember cookie gets no repeated response any more
		err = s.memory.rotator.Used(r.Context(), familyOf(v.ID), v.Created, s.now())
	}
	if err != nil {
		return nil, storage.User{}, err
	}
	return &row{Session: v, text: text}, u, nil
}

func (s *frame) user(ctx context.Context, u *storage.Account) (authn.User, error) {
	if s.opts.User != nil {
		return audit.Call("session.Options.User", func() (authn.User, error) { return s.opts.User(ctx, u.Clone()) })
	}
	return u, nil
}

// Renew records the use of the session and sends the cookie with its new expiry, if the last use
// was recorded at least Options.Interval ago. It sets Vary, because the response depends on the
// cookie, and Cache-Control: no-store unless that header is already set.
func (s *Scheme) Renew(w http.ResponseWriter, r *http.Request, id authn.Identity) error {
	s.answers(w)
	loaded, ok := s.own(id)
	switch {
	case !ok, loaded.shared: // its use need not be recorded yet
	case loaded.next != nil:
		now := s.now()
		s.set(w, s.cookie, loaded.text, &loaded.Session)
		s.send(w, s.memory.cookie, loaded.next.Next, s.age(loaded.next.End, now))
		s.issued(w, r, loaded.Subject)
	default:
		s.touch(w, r.Context(), s.cookie, loaded, s.look())
	}
	return nil
}

// answers sets the cache headers of the response to an authenticated request.
func (s *frame) answers(w http.ResponseWriter) {
	h := w.Header()
	private(h)
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = s.noStore
	}
}

// touch records the use of a session if it is due. It does not modify a shared row.
func (s *Scheme) touch(w http.ResponseWriter, ctx context.Context, cookie string, loaded *row, as look) {
	now := s.now()
	before := now
	if s.opts.Interval > 0 && (as.idle == s.opts.Idle || as.idle == s.opts.VisitorIdle) { // a shorter idle time may end before Interval
		before = now.Add(-s.opts.Interval)
	}
	switch {
	case loaded.LastSeen.After(now): // written by a clock that was ahead, so the idle time starts now
		before = loaded.LastSeen
	case loaded.LastSeen.After(before):
		return
	}
	expires := now.Add(as.idle)
	if expires.After(loaded.Ends) {
		expires = loaded.Ends
	}
	written, err := s.uses.Write(ctx, func(ctx context.Context) (bool, error) {
		return s.rows.TouchSession(ctx, loaded.Digest, now, expires, before)
	})
	switch {
	case err != nil:
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "session use not recorded", slog.String("scheme", s.Name()), slog.Any("error", err))
		s.notify(ctx, audit.UseUnrecorded, &loaded.Session, "")
	case written:
		if !loaded.shared {
			loaded.LastSeen, loaded.Expires = now, expires // once per request is enough
		}
		s.sendAs(w, cookie, loaded.text, loaded.text, s.maxAge(expires, now), as)
	}
}
