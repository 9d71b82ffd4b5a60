package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

var (
	// ErrEnded means that the session was deleted or got another cookie after the request loaded
	// it. Its data is lost, and saving does not restore it.
	ErrEnded = errors.New("session: Save: the session was deleted")
	// ErrNotYours means that the session belongs to a user other than the caller of the request. It
	// has no values and cannot be saved.
	ErrNotYours = errors.New("session: Save: the session belongs to another user")
	// ErrTooLarge means that the encoded values are longer than storage.MaxSessionDataBytes or, for
	// sealed sessions, than a cookie.
	ErrTooLarge = errors.New("session: Save: too much data")
)

// Store is a [sessions.Store] of gorilla/sessions that keeps values in the scheme's sessions. Create
// it with [Scheme.Store].
//
// Values keep their Go types. Supported types are bool, integers, floats, string, []byte,
// time.Time, time.Duration, slices and maps of these, and types that the program passed to
// gob.Register. For any other type, Save returns an error.
//
// The session with the name Options.Cookie is the session of logged-in users. Sessions with other
// names are separate: they have their own cookies and rows, and no user. Nothing is stored before
// there are values. If the values did not change, Save only records the use of the session and
// sends the cookie with its new expiry, at most once per Options.Interval.
//
// Concurrent requests keep each other's changes: each writes only the keys that it changed. If two
// requests change the same key, the later Save wins.
//
// Save applies the session's [sessions.Options], or returns an [*OptionsError]:
//   - MaxAge below 0 deletes the session and its cookie. 0 omits Max-Age from the cookie. A value
//     shorter than Options.Idle shortens the idle timeout, in the cookie and on the server, until a
//     Save with another value.
//   - SameSite can be Strict; None is an error.
//   - HttpOnly is always set, and Secure is always set over HTTPS.
//   - Domain, Partitioned and a Path other than "/" are errors.
//   - The session of logged-in users always has the timeouts and attributes of the scheme's
//     Options; other values are errors.
type Store struct{ s *Scheme }

// Store returns a gorilla store with the scheme's sessions.
func (s *Scheme) Store() *Store { return &Store{s} }

var _ sessions.Store = (*Store)(nil)

// Get returns the request's session of that name, the same one on each call. The session is never
// nil, and the error is the error of [Store.New].
func (st *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(st, name)
}

// New loads the session of that name. If the cookie is absent, expired, malformed or duplicated, it
// returns a new, empty session.
//
// It returns an [*authn.Error] with status 403 for an unsafe request from another site, and the
// error of the store if the store fails. In both cases the session is empty, and Save returns the
// same error.
func (st *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	return st.s.open(r, st, name, func(out *sessions.Session, held *loaded) error {
		found, err := st.row(r, name)
		if err != nil {
			return err
		}
		if found == nil { // browsers send no Lax cookie with a form of another site, which must not create a session
			return st.s.site.Check(r)
		}
		if err := st.s.fromHere(r, found.text); err != nil {
			return err
		}
		if !isOf(r, found.Subject) {
			return ErrNotYours
		}
		values, err := decode(found.Data)
		if err != nil {
			return err
		}
		held.row = found
		out.ID, out.IsNew, out.Values = found.ID, false, values
		return nil
	})
}

// open implements New of both stores. load fills the session; Save returns the same error as load.
func (s *frame) open(r *http.Request, st sessions.Store, name string, load func(*sessions.Session, *loaded) error) (*sessions.Session, error) {
	out := sessions.NewSession(st, name)
	out.IsNew, out.Options = true, s.gorillaOptions()
	held := &loaded{}
	stateOf(r).put(out, held)
	if cookieName(name) {
		held.bad = load(out, held)
	} else {
		held.bad = fmt.Errorf("session: New: session name %q is invalid (letters, digits, - and _, without __Host- and __Secure-)", name)
	}
	if errors.Is(held.bad, ErrNotYours) { // the session is empty
		return out, nil
	}
	return out, held.bad
}

func (s *frame) gorillaOptions() *sessions.Options {
	return &sessions.Options{Path: "/", MaxAge: int(s.opts.Idle.Seconds()), Secure: !s.site.IsLoopback(), HttpOnly: true, SameSite: s.opts.SameSite}
}

// isOf reports whether a session of that subject belongs to the request: it has no user, or the
// caller is its user and not scope-limited.
func isOf(r *http.Request, subject string) bool {
	id := authn.FromContext(r.Context())
	return subject == "" || id.Subject == subject && id.Issuer == "" && !id.Delegated()
}

// row returns the valid row of the cookie with that name, or nil.
func (st *Store) row(r *http.Request, name string) (*row, error) {
	if name == st.s.opts.Cookie {
		if found, ok := st.s.own(authn.FromContext(r.Context())); ok {
			if !found.shared {
				return found, nil // authentication loaded it
			}
			text, err := cookieValue(r, st.s.cookie)
			if err != nil {
				return nil, err
			}
			return &row{Session: found.Session, text: text}, nil
		}
		return st.s.current(r)
	}
	found, _, err := st.s.find(r, st.s.wireName(name))
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, errNoCookie), errors.Is(err, errSeveral), errors.Is(err, errShape),
		errors.Is(err, storage.ErrNotFound), errors.Is(err, errOver):
		return nil, nil
	}
	return nil, err
}

// Save stores the values if they changed, and sets the cookie of a new session.
//
// If a page of another site embeds the request, such as an image, Save does not store a new session
// and returns nil. Browsers drop the cookie of such a response, so each request would create a row.
//
// It returns [ErrEnded], [ErrNotYours], [ErrTooLarge], an [*OptionsError], or an error for a value
// of an unsupported type. It can also return an [*authn.Error] with status 429 (see
// Options.VisitorsPerHour), the error of New, or the error of the store. After an error, nothing
// was stored.
func (st *Store) Save(r *http.Request, w http.ResponseWriter, v *sessions.Session) error {
	held := stateOf(r).get(v)
	if held == nil { // created for another request, so load it again
		fresh, err := st.New(r, v.Name())
		if err != nil {
			return err
		}
		held = stateOf(r).get(fresh)
	}
	if held.bad != nil {
		return held.bad
	}
	cookie := st.s.wireName(v.Name())
	private(w.Header())
	if v.Options != nil && v.Options.MaxAge < 0 {
		return st.end(r, w, cookie, held)
	}
	as, err := st.s.lookOf(v.Options, cookie == st.s.cookie)
	if err != nil {
		return err
	}
	if (held.row == nil || held.row.Subject == "") && as.idle == st.s.opts.Idle {
		as.idle = st.s.opts.VisitorIdle
	}
	data, err := encode(v.Values)
	switch {
	case err != nil:
		return err
	case len(data) > storage.MaxSessionDataBytes:
		return ErrTooLarge
	case held.row != nil:
		if err := st.update(r.Context(), v, held, data); err != nil {
			return err
		}
		// The middleware does not renew a session without a user, so record its use here.
		st.s.touch(w, r.Context(), cookie, held.row, as)
		return nil
	case len(data) == 0, embedded(r):
		return nil
	}
	if began, err := st.s.began(r.Context(), w, cookie); err != nil || began {
		if began {
			held.bad, err = ErrEnded, ErrEnded
		}
		return err
	}
	next := storage.Session{ID: newID(), Data: data, Created: st.s.now()}
	if err := st.s.visitors.take(r, st.s.opts.Proxies); err != nil {
		return err
	}
	text, err := format.New(st.s.opts.Rand)
	if err == nil {
		err = st.s.insert(r, cookie, text, &next, storage.Digest{}, as.idle)
	}
	if err != nil {
		return err
	}
	held.row = &row{Session: next, text: text}
	v.ID, v.IsNew = next.ID, false
	st.s.sendAs(w, cookie, text, text, st.s.maxAge(next.Expires, st.s.now()), as)
	if cookie == st.s.cookie {
		authn.Issued(r, visitor(next.ID), text)
	}
	return nil
}

// embedded reports whether a page of another site made the request, other than as navigation of a
// tab.
func embedded(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Dest") != "document"
}

// began reports whether this response logs in a user. A new session without a user would undo that.
func (s *Scheme) began(ctx context.Context, w http.ResponseWriter, cookie string) (bool, error) {
	text, _ := answered(w.Header(), cookie)
	if text == "" || cookie != s.cookie {
		return false, nil
	}
	v, _, err := s.rows.SessionByDigest(ctx, digestOf(cookie, text))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return v.Subject != "", err
}

func (st *Store) end(r *http.Request, w http.ResponseWriter, cookie string, held *loaded) error {
	if held.row != nil {
		remembered := false
		err := st.s.changed(r, func(r *http.Request) (err error) {
			if cookie == st.s.cookie {
				if remembered, err = st.s.forget(r, held.row); err != nil {
					return err
				}
			}
			return st.s.endNow(r, &held.row.Session)
		})
		if err != nil {
			return err
		}
		st.s.unremember(w, remembered)
		held.row, held.bad = nil, ErrEnded
	}
	st.s.send(w, cookie, "", -1)
	return nil
}

// saveTries is the number of attempts to save when other requests save at the same time.
const saveTries = 100
