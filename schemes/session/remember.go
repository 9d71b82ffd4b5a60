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

// RememberOptions configure "remember me": logins that outlive their session.
//
// Such a login has a second cookie, the remember cookie. When the session has expired, the remember
// cookie creates a new session and is exchanged for the next cookie of its series. Each cookie can
// be exchanged once. If a copied cookie is used, the second use is detected, and the series and all
// its sessions are revoked. A browser that lost the response, or restores many tabs, gets the same
// session and cookie again within Grace.
type RememberOptions struct {
	// Cookie is the name of the remember cookie. "" means "remember", or "NAME-remember" if
	// Options.Cookie is another NAME than "session". See Options.Cookie.
	Cookie string
	// Idle is the time for which a browser can stay away. 0 means 30 days.
	Idle time.Duration
	// Absolute is the time after which the password is required again. 0 means 90 days, or Idle if
	// that is longer.
	Absolute time.Duration
	// Grace is the time for which the response of an exchange can be repeated, at most one minute.
	// 0 means 10 seconds. A negative value means no repetition.
	Grace time.Duration
}

// rememberFormat is the format of remember cookie values.
var rememberFormat = credential.MustFormat("vsr")

// purpose is the purpose of all series. Schemes with the same store share it, as they share the
// list of an account's sessions. So deleting a session ends its remembered login, whichever scheme
// created it.
const purpose = "remember"

// memory is the part of a Scheme for remembered logins.
type memory struct {
	rotator *rotation.Rotator
	cookie  string       // name in HTTP headers
	bound   string       // prefix of secrets, so that a scheme with other cookies rejects them
	invalid *authn.Error // a rejection that also deletes the remember cookie
	cleared cleared
}

func (s *Scheme) newMemory(o RememberOptions) (*memory, error) {
	if s.families == nil {
		return nil, errors.New("session: New: Options.Remember requires rows that implement storage.Families")
	}
	if o.Cookie == "" {
		o.Cookie = "remember"
		if s.opts.Cookie != defaultCookie {
			o.Cookie = s.opts.Cookie + "-remember"
		}
	}
	if !cookieName(o.Cookie) || strings.EqualFold(o.Cookie, s.opts.Cookie) || strings.EqualFold(o.Cookie, s.opts.TokenCookie) {
		return nil, fmt.Errorf("session: New: Remember.Cookie %q is invalid (letters, digits, - and _, without __Host- or __Secure-, and different from Cookie and TokenCookie)", o.Cookie)
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
		return nil, fmt.Errorf("session: New: Remember.Idle %s is too short (more than Idle, %s)", o.Idle, s.opts.Idle)
	}
	// Sessions are deleted directly, so the blocking time of the family does not matter.
	rotator, err := rotation.New(s.families, &rotation.Options{Grace: o.Grace, Idle: o.Idle, Absolute: o.Absolute, Block: time.Second, Clock: s.opts.Clock})
	if err != nil {
		return nil, fmt.Errorf("session: New: Remember: %w", err)
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

// useBy is use with the client address of a request.
func (m *memory) useBy(r *http.Request, text string, proxies authn.TrustedProxies) rotation.Use {
	use := m.use(text)
	use.Source = rotation.SourceOf(proxies.ClientAddr(r))
	return use
}

// text returns the value of the remember cookie.
func (m *memory) text(r *http.Request) (string, error) {
	text, err := cookieValue(r, m.cookie)
	if err == nil && !rememberFormat.Valid(text) {
		err = errShape
	}
	return text, err
}

// IsRemembered reports whether the identity's session was created by a remembered login, not by a
// password. Require the password again before sensitive actions in such a session.
func IsRemembered(id authn.Identity) bool {
	loaded, ok := id.Credential.(*row)
	return ok && loaded.AuthTime.Before(loaded.Created)
}

// familyOf returns the series of a session, or "". The ID of a session begins with the ID of its
// series, so that deleting one can end the other.
func familyOf(sessionID string) string {
	family, _, ok := strings.Cut(sessionID, ".")
	if !ok {
		return ""
	}
	return family
}

// StartRemembered is [Scheme.Start] for a login that outlives its session. If Options.Remember is
// nil, it does the same as Start. The endpoints call it if "remember" is true.
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

// logInRemembered is StartRemembered for a request with the session old; nil means none.
func (s *Scheme) logInRemembered(w http.ResponseWriter, r *http.Request, login authn.Login, old *row) error {
	text, err := rememberFormat.New(s.opts.Rand)
	if err != nil {
		return err
	}
	f, err := s.memory.rotator.Begin(r.Context(), storage.Family{
		ID: newID(), Purpose: purpose, Subject: login.Subject, Epoch: login.Epoch, ACR: login.ACR, AMR: login.AMR, Name: credential.Printable(r.Header.Get("User-Agent"), storage.MaxIDBytes),
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

// begun is the result of exchanging a remember cookie. It is sealed and stored for repetitions.
type begun struct {
	Session string    `json:"s"` // value of the new session's cookie
	ID      string    `json:"i"` // ID of the new session
	At      time.Time `json:"t"`
	Next    string    `json:"n"` // value of the next remember cookie
	End     time.Time `json:"e"` // its expiry
}

// remembered creates a session with the remember cookie, in place of the visitor's session was with
// its data; nil replaces none. If there is no remember cookie, it returns why, the error for the
// session cookie.
func (s *Scheme) remembered(r *http.Request, was *row, why error) (*row, storage.User, error) {
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
	// Check before the exchange. Another site may have caused the request, and the session does not
	// exist yet, so no CSRF token can belong to it.
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
	var res rotation.Result
	var rejected error
	err = s.changed(r, func(r *http.Request) (err error) {
		rejected = nil // of an earlier try
		res, err = m.rotator.Rotate(r.Context(), m.useBy(r, text, s.opts.Proxies), s.successor)
		if errors.Is(err, rotation.ErrReused) {
			rejected = err
			return s.reused(r.Context(), res.State.Family) // without an error, the series stays revoked
		}
		return err
	})
	switch {
	case err != nil:
		return nil, none, s.notRemembered(ctx, res.State.Family, err)
	case rejected != nil:
		m.cleared.note(res.State.Family.ID)
		return nil, none, s.refused(rejected, m.invalid)
	}
	var b begun
	if err := json.Unmarshal(res.Answer, &b); err != nil {
		return nil, none, err
	}
	return s.begin(r, res, b, was)
}

// successor returns the session and the remember cookie that replace an exchanged one.
func (s *Scheme) successor(_ context.Context, st storage.RefreshState, end time.Time) (answer []byte, secret string, err error) {
	b := begun{ID: st.Family.ID + "." + newID(), At: s.now(), End: end}
	if b.Session, err = format.New(s.opts.Rand); err != nil {
		return nil, "", err
	}
	if b.Next, err = rememberFormat.New(s.opts.Rand); err != nil {
		return nil, "", err
	}
	answer, err = json.Marshal(b)
	return answer, s.memory.bound + b.Next, err
}

// reused deletes the sessions of a series that has ended because a cookie of it was used twice, and
// reports that.
func (s *Scheme) reused(ctx context.Context, f storage.Family) error {
	e := audit.Event{Kind: audit.RefreshReuse, Scheme: s.Name(), Subject: f.Subject, Family: f.ID, Epoch: f.Epoch}
	audit.LogReuse(ctx, s.opts.Logger, e)
	if err := s.endSeries(ctx, f, ""); err != nil {
		return err // the next use of any of its cookies tries again
	}
	s.opts.Audit.Notify(ctx, e)
	return nil
}

// wouldRemember returns the result of remembered without exchanging the cookie. The session does
// not exist, so it has no ID.
func (s *Scheme) wouldRemember(r *http.Request, text string) (*row, storage.User, error) {
	st, err := s.memory.rotator.Inspect(r.Context(), s.memory.use(text))
	switch {
	case rotation.IsRejection(err):
		return nil, storage.User{}, s.refused(err, s.memory.invalid)
	case err != nil:
		return nil, storage.User{}, err
	}
	f, now := st.Family, s.now()
	v := storage.Session{Subject: f.Subject, Epoch: f.Epoch, AuthTime: f.AuthTime, ACR: f.ACR, AMR: f.AMR, Created: now, LastSeen: now, Expires: now.Add(s.opts.Idle)}
	return &row{Session: v, next: &begun{}}, st.User, nil
}
