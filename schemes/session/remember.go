package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// RememberOptions are those of logins that outlive their session: "remember me".
//
// Such a login has a second cookie. Where the session is over the second cookie begins a
// new one, and is exchanged for the next of its series, each once: what was copied shows
// as soon as both use it, and then the series ends with every session that came from it.
// A browser that lost the answer, or restored many tabs, gets the same
// session and cookie again within Grace.
type RememberOptions struct {
	// Cookie is the second cookie's name. If it is "" the name is "remember", or "NAME-remember" if
	// Options.Cookie sets another NAME than "session". See Options.Cookie.
	Cookie string
	// Idle is how long a browser may stay away; 0 is 30 days.
	Idle time.Duration
	// Absolute is when the password is asked for again at the latest; 0 is 90 days, or
	// Idle where that is longer.
	Absolute time.Duration
	// Grace is how long the answer of an exchange may be asked for again: 10 seconds
	// where 0, at most a minute; below 0 is never.
	Grace time.Duration
}

// rememberFormat is that of the second cookie's texts.
var rememberFormat = credential.MustFormat("vsr")

// purpose is that of all series. Schemes over one store share it as they share the list of an account's
// sessions, so whoever ends a session ends what its browser remembers, whichever scheme began it.
const purpose = "remember"

// memory is the part of a Scheme that remembers.
type memory struct {
	rotator *rotation.Rotator
	cookie  string       // the name on the wire
	bound   string       // what a secret begins with: it is worth nothing to a scheme with other cookies
	invalid *authn.Error // a refusal that drops the second cookie too
	cleared cleared
}

func (s *Scheme) newMemory(o RememberOptions) (*memory, error) {
	if s.families == nil {
		return nil, errors.New("session: Options.Remember needs rows that are a storage.Families")
	}
	if o.Cookie == "" {
		o.Cookie = "remember"
		if s.opts.Cookie != defaultCookie {
			o.Cookie = s.opts.Cookie + "-remember"
		}
	}
	if !cookieName(o.Cookie) || strings.EqualFold(o.Cookie, s.opts.Cookie) || strings.EqualFold(o.Cookie, s.opts.TokenCookie) {
		return nil, fmt.Errorf("session: remember cookie name %q: want one as for Cookie, and another", o.Cookie)
	}
	if o.Idle == 0 {
		o.Idle = 30 * 24 * time.Hour
	}
	if o.Absolute == 0 {
		o.Absolute = max(90*24*time.Hour, o.Idle)
	}
	switch {
	case o.Grace == 0:
		o.Grace = 10 * time.Second
	case o.Grace < 0:
		o.Grace = 0
	}
	if o.Idle <= s.opts.Idle {
		return nil, fmt.Errorf("session: Remember.Idle %s is not above Idle %s: nothing would be remembered longer", o.Idle, s.opts.Idle)
	}
	// Sessions are ended themselves, so the block of the family matters to nobody.
	rotator, err := rotation.New(s.families, &rotation.Options{Grace: o.Grace, Idle: o.Idle, Absolute: o.Absolute, Block: time.Second, Clock: s.opts.Clock})
	if err != nil {
		return nil, fmt.Errorf("session: Remember: %w", err)
	}
	m := &memory{rotator: rotator, cookie: s.wireName(o.Cookie)}
	m.bound = s.cookie + " " + m.cookie + "="
	m.cleared.series = bounded.New[string, struct{}](maxCleared, maxCleared)
	m.invalid = authn.AuthenticationFailed("Invalid session.")
	m.invalid.Cookies = append(s.newCookies(s.cookie, "", "", -1), s.newCookie(m.cookie, "", -1))
	return m, nil
}

func (m *memory) use(text string) rotation.Use {
	return rotation.Use{Secret: m.bound + text, Purpose: purpose}
}

// useBy is use by a request, which comes from somewhere.
func (m *memory) useBy(r *http.Request, text string, proxies authn.TrustedProxies) rotation.Use {
	use := m.use(text)
	use.Source = rotation.SourceOf(proxies.ClientAddr(r))
	return use
}

// text returns the second cookie's text.
func (m *memory) text(r *http.Request) (string, error) {
	text, err := cookieValue(r, m.cookie)
	if err == nil && !rememberFormat.Valid(text) {
		err = errShape
	}
	return text, err
}

// IsRemembered reports whether the identity's session was begun by a remembered login, not
// by a password: ask for the password again before what is delicate.
func IsRemembered(id authn.Identity) bool {
	loaded, ok := id.Credential.(*row)
	return ok && loaded.AuthTime.Before(loaded.Created)
}

// familyOf returns the series that a session belongs to, "" for none. Sessions of one are
// named by it, so that what ends the one ends the other.
func familyOf(sessionID string) string {
	family, _, ok := strings.Cut(sessionID, ".")
	if !ok {
		return ""
	}
	return family
}

// StartRemembered is Start for a login that is to outlive its session, where
// Options.Remember is set; without it, it is Start. The endpoints call it where "remember"
// is true.
func (s *Scheme) StartRemembered(w http.ResponseWriter, r *http.Request, login authn.Login) error {
	if s.memory == nil {
		return s.Start(w, r, login)
	}
	old, err := s.current(r)
	if err != nil {
		return err
	}
	return s.logInRemembered(w, r, login, old)
}

// logInRemembered is StartRemembered for a request whose session is old, nil for none.
func (s *Scheme) logInRemembered(w http.ResponseWriter, r *http.Request, login authn.Login, old *row) error {
	text, err := rememberFormat.New(s.opts.Rand)
	if err != nil {
		return err
	}
	f, err := s.memory.rotator.Begin(r.Context(), storage.Family{
		ID: newID(), Purpose: purpose, Subject: login.Subject, Epoch: login.Epoch, Name: credential.Printable(r.Header.Get("User-Agent"), storage.MaxIDBytes),
	}, s.memory.bound+text)
	if err != nil {
		return err
	}
	if err := s.logInFrom(w, r, login, f.ID, old); err != nil {
		if after := s.memory.rotator.EndFamily(context.WithoutCancel(r.Context()), f.ID); after != nil {
			cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(r.Context(), slog.LevelWarn, "unused login not revoked", slog.Any("error", after))
		}
		return err
	}
	now := s.now()
	s.send(w, s.memory.cookie, text, s.age(s.memory.rotator.End(f, now), now))
	s.issued(w, r, login.Subject)
	return nil
}

// begun is what the exchange of a second cookie gives, sealed for who repeats it.
type begun struct {
	Session string    `json:"s"` // the text of the new session's cookie
	ID      string    `json:"i"` // its ID
	At      time.Time `json:"t"`
	Next    string    `json:"n"` // the text of the next second cookie
	End     time.Time `json:"e"` // and its end
}

// remembered begins a session by the second cookie. Where there is none the error is why,
// the answer to the session cookie. The data go over to the session.
func (s *Scheme) remembered(r *http.Request, data []byte, why error) (*row, storage.User, error) {
	var none storage.User
	m := s.memory
	text, err := m.text(r)
	switch {
	case errors.Is(err, errNoCookie):
		return nil, none, why
	case errors.Is(err, errSeveral):
		s.several(r)
		return nil, none, s.refused(err, m.invalid)
	case err == nil && !s.site.Secure(r):
		err = insecure{over(s.site.Insecure(r))}
	}
	if err != nil {
		return nil, none, s.refused(err, m.invalid)
	}
	// Before anything is exchanged: another site may have caused it, and no token can
	// belong to a session that is not there yet.
	if err := s.site.Check(r); err != nil {
		return nil, none, err
	}
	if csrf.NeedsToken(r) {
		return nil, none, authn.PermissionDenied("CSRF Failed: the request does not say where it comes from.")
	}
	ctx := r.Context()
	if authn.Explained(ctx) {
		return s.wouldRemember(r, text)
	}
	res, err := m.rotator.Rotate(ctx, m.useBy(r, text, s.opts.Proxies), func(_ context.Context, st storage.RefreshState, end time.Time) ([]byte, string, error) {
		b := begun{ID: st.Family.ID + "." + newID(), At: s.now(), End: end}
		var err error
		if b.Session, err = format.New(s.opts.Rand); err != nil {
			return nil, "", err
		}
		if b.Next, err = rememberFormat.New(s.opts.Rand); err != nil {
			return nil, "", err
		}
		answer, err := json.Marshal(b)
		return answer, m.bound + b.Next, err
	})
	if err != nil {
		return nil, none, s.notRemembered(ctx, res.State.Family, err)
	}
	var b begun
	if err := json.Unmarshal(res.Answer, &b); err != nil {
		return nil, none, err
	}
	return s.begin(r, res, b, data)
}

// wouldRemember returns what remembered would, and exchanges nothing. The session has no name, since
// there is none.
func (s *Scheme) wouldRemember(r *http.Request, text string) (*row, storage.User, error) {
	st, err := s.memory.rotator.Inspect(r.Context(), s.memory.use(text))
	switch {
	case rotation.IsRejection(err):
		return nil, storage.User{}, s.refused(err, s.memory.invalid)
	case err != nil:
		return nil, storage.User{}, err
	}
	f, now := st.Family, s.now()
	v := storage.Session{Subject: f.Subject, Epoch: f.Epoch, AuthTime: f.AuthTime, Created: now, LastSeen: now, Expires: now.Add(s.opts.Idle)}
	return &row{Session: v, next: &begun{}}, st.User, nil
}

// notRemembered is the answer to a second cookie that does not hold.
func (s *Scheme) notRemembered(ctx context.Context, f storage.Family, err error) error {
	switch {
	case errors.Is(err, rotation.ErrReused):
		e := audit.Event{Kind: audit.RefreshReuse, Scheme: s.Name(), Subject: f.Subject, Family: f.ID, Epoch: f.Epoch}
		audit.LogReuse(ctx, s.opts.Logger, e)
		if err := s.clear(ctx, f); err != nil {
			return err // the series has ended: the next use of any of its cookies tries again
		}
		s.opts.Audit.Notify(ctx, e)
	case errors.Is(err, rotation.ErrRevoked) && f.Ended:
		// Whoever ended it may have failed to end its sessions.
		if err := s.clear(ctx, f); err != nil {
			return err
		}
	case errors.Is(err, rotation.ErrUnknown), errors.Is(err, rotation.ErrExpired), errors.Is(err, rotation.ErrRevoked), errors.Is(err, rotation.ErrMismatch):
	case errors.Is(err, rotation.ErrTooMany):
		return authn.Throttled(rotation.RetryAfter)
	default:
		return err
	}
	return s.refused(err, s.memory.invalid)
}

// begin makes the session of an exchange, unless somebody who repeated the exchange did.
func (s *Scheme) begin(r *http.Request, res rotation.Result, b begun, data []byte) (*row, storage.User, error) {
	ctx, f, m := r.Context(), res.State.Family, s.memory
	v := storage.Session{ID: b.ID, Subject: f.Subject, Epoch: f.Epoch, AuthTime: f.AuthTime, Created: b.At, Data: data}
	err := s.insert(r, s.cookie, b.Session, &v, storage.Digest{}, s.opts.Idle)
	inserted := err == nil
	switch {
	case inserted:
		s.notify(audit.Context(r), audit.SessionCreated, &v, reasonRemembered)
	case errors.Is(err, storage.ErrConflict): // it is there
	case errors.Is(err, storage.ErrStale):
		return nil, storage.User{}, s.refused(err, m.invalid)
	default:
		return nil, storage.User{}, err
	}
	// Who ends a series ends its sessions after that: this one may have come too late to
	// be found. A client that leaves does not keep it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateTimeout)
	defer cancel()
	now, err := m.rotator.Inspect(ctx, m.use(b.Next))
	if err != nil && !errors.Is(err, rotation.ErrReused) { // exchanged already, by this browser
		m.cleared.forget(f.ID)                                                        // before this session was there
		if err = s.notRemembered(ctx, now.Family, err); inserted && !isRefusal(err) { // a repeated request inserts it again
			return nil, storage.User{}, errors.Join(err, s.rows.DeleteSession(context.WithoutCancel(ctx), v.Digest))
		}
		return nil, storage.User{}, err
	}
	if inserted {
		s.surplus(ctx, v.Subject, v.ID)
	}
	stored, u, err := s.rows.SessionByDigest(ctx, digestOf(s.cookie, b.Session))
	if errors.Is(err, storage.ErrNotFound) { // ended in this moment
		return nil, storage.User{}, s.refused(err, s.invalid)
	}
	if err != nil {
		return nil, storage.User{}, err
	}
	return &row{Session: stored, text: b.Session, next: &b}, u, nil
}
