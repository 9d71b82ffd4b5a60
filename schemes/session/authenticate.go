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

// row is Identity.Credential of a session: what authentication loaded.
type row struct {
	credential.Redacted // a handler can log it
	storage.Session
	by     *frame // the scheme that authenticated by it
	text   string // the cookie's; never leaves the package but in the cookie; "" in one that is kept
	secret string // of forms, made of text; in one that is kept
	next   *begun // of a session that begins with this request; nil: it was there
	shared bool   // by requests: it is not written to
}

// CloneCredential implements what authn.Identity says of Credential.
func (v *row) CloneCredential() any {
	c := *v
	c.Data = slices.Clone(v.Data)
	return &c
}

// own returns the session that this scheme authenticated the identity by. That of another scheme,
// with a cookie or accounts of its own, is none.
func (s *Scheme) own(id authn.Identity) (*row, bool) {
	v, ok := id.Credential.(*row)
	return v, ok && v.by == &s.frame
}

// SessionID returns the name of the session that authenticated the identity: that of
// Sessions and EndOne. "" where another scheme did.
func SessionID(id authn.Identity) string {
	if loaded, ok := id.Credential.(*row); ok {
		return loaded.ID
	}
	return ""
}

// Authenticate looks for the session cookie. It takes one query. A session in which
// nobody is logged in is no credential.
//
// A cookie that names no session of a user is refused, with 401, and the answer
// deletes it: the browser's next request is an anonymous one. An unknown, ended,
// expired or outdated session and a disabled account are refused alike; the reason
// goes to the log. So are two cookies of its name, of which none is deleted: one may be
// good, and the other planted. On a page for people (authn.Page) an ended session counts
// as no credential.
//
// A request that is not safe and does not come from the site's own pages is refused
// with 403. One that says nothing of where it comes from and has the body
// of a form needs a Token; to find it in the form the body is read and put back.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	loaded, u, err := s.load(r)
	var data []byte
	switch {
	case errors.Is(err, errNoCookie):
		err = authn.ErrNoCredentials
	case err == nil && loaded.Subject == "":
		authn.Issued(r, visitor(loaded.ID), loaded.text)
		data, err = loaded.Data, authn.ErrNoCredentials
	}
	if s.memory != nil && (err == authn.ErrNoCredentials || isOver(err)) && !authn.IsSubrequest(r.Context()) {
		loaded, u, err = s.remembered(r, data, err)
	}
	if err != nil {
		return authn.Identity{}, err
	}
	if loaded.next == nil { // else it was looked at before
		if err := s.fromHere(r, loaded.text); err != nil {
			return authn.Identity{}, err
		}
	}
	loaded.by = &s.frame
	id := authn.Identity{Subject: u.ID, Scheme: "session", Roles: u.Roles, Credential: loaded, AuthTime: loaded.AuthTime, Expires: loaded.Expires}
	if id.User, err = s.user(r.Context(), u.WithPermissions(s.perms)); err != nil {
		return authn.Identity{}, err
	}
	return s.kept(id, loaded, u.LeaseOf(s.rows)), nil
}

// maxKept is the most data of a session that is kept for its next request.
const maxKept = 4 << 10

// kept marks an identity that later requests of the session can have, until its use is to be
// noted. An application's own account is made for each.
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
			return nil // unsafe requests do not get here: see authn.Ambient
		},
	})
}

// Presented implements authn.Keeper: over a store that gives leases (package cached), identities
// are kept until the use of the session is to be noted again.
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	if text, err := cookieValue(r, s.cookie); err == nil && format.Fits(text) {
		return text, false
	}
	return "", false
}

// ahead reports whether a clock that was wrong wrote one of the times. Such a session would have no
// idle limit until the clock has caught up, so it counts as expired.
func ahead(now time.Time, times ...time.Time) bool {
	return slices.ContainsFunc(times, func(t time.Time) bool { return storage.LoginAhead(now, t) })
}

// due is when the use of a session is to be noted again.
func (s *Scheme) due(v *storage.Session) time.Time { return v.LastSeen.Add(s.opts.Interval) }

// fromHere refuses a request that another site may have caused.
func (s *frame) fromHere(r *http.Request, secret string) error {
	if !csrf.IsUnsafe(r) { // what both would find out
		return nil
	}
	if err := s.site.Check(r); err != nil || !csrf.NeedsToken(r) {
		return err
	}
	return csrf.CheckToken(r, csrf.SecretOf(secret))
}

// Token returns a token for the forms of a page that the identity's session sees; ""
// where another scheme authenticated it. Each call makes another text. It goes into a
// field of the name csrf.Field, or into the header csrf.Header.
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

// load returns the live session of the scheme's own cookie. Its errors are
// errNoCookie, a refusal, or a fault.
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

// isOver reports whether a refusal of load says that the session is none any more, which
// a remembered login may replace.
func isOver(err error) bool {
	return errors.Is(err, errShape) || errors.Is(err, storage.ErrNotFound) || errors.Is(err, errOver)
}

// errOver is the reason why a session that is there does not hold.
var errOver = errors.New("the session is over")

// insecure is an errOver that says nothing of the session itself: only of how it was sent.
type insecure struct{ over }

type over string

func (o over) Error() string { return string(o) }
func (o over) Unwrap() error { return errOver }

// errAhead is the errOver of a session whose times lie ahead: it is valid again when the clock has
// caught up, so a logout deletes it.
const errAhead = over("used by a clock that was ahead")

// find returns the live session of a cookie: errNoCookie, errSeveral, errShape,
// storage.ErrNotFound, an errOver, or a fault. With errAhead it returns the session too.
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
		return &row{Session: v, text: text}, storage.User{}, errAhead
	}
	if err == nil && s.memory != nil && !authn.Explained(r.Context()) { // whoever copied the second cookie before gets no answer any more
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

// Renew notes the use of the session and sends the cookie with its new end, where the
// last note is Options.Interval old. The answer depends on the cookie, and says so
// (Vary), and no cache keeps it unless the handler says otherwise.
func (s *Scheme) Renew(w http.ResponseWriter, r *http.Request, id authn.Identity) error {
	s.answers(w)
	loaded, ok := s.own(id)
	switch {
	case !ok, loaded.shared: // its use need not be noted yet
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

// answers marks the answer to an authenticated request.
func (s *frame) answers(w http.ResponseWriter) {
	h := w.Header()
	private(h)
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = s.noStore
	}
}

// touch notes the use of a session where it is due. A row that is shared is not written to.
func (s *Scheme) touch(w http.ResponseWriter, ctx context.Context, cookie string, loaded *row, as look) {
	now := s.now()
	before := now
	if s.opts.Interval > 0 && (as.idle == s.opts.Idle || as.idle == s.opts.VisitorIdle) { // a shorter life may end before
		before = now.Add(-s.opts.Interval)
	}
	switch {
	case loaded.LastSeen.After(now): // written by a clock that was ahead: the idle time counts from here
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
			loaded.LastSeen, loaded.Expires = now, expires // once is enough in a request
		}
		s.sendAs(w, cookie, loaded.text, loaded.text, s.maxAge(expires, now), as)
	}
}

// FromIdentity returns the name of the session that this scheme authenticated the identity by, and the
// epoch of the account that it holds. Pass it to server.Sessions, if the authorization server has the
// accounts of this scheme.
//
// ok is false where another scheme did, also another session scheme, whose account with this ID may be
// somebody else's, and for a sealed session, which has no name.
func (s *Scheme) FromIdentity(id authn.Identity) (sessionID string, epoch int64, ok bool) {
	loaded, ok := s.own(id)
	if !ok {
		return "", 0, false
	}
	return loaded.ID, loaded.Epoch, true
}
