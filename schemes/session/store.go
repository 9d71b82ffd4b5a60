package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

var (
	// ErrEnded: the session was ended, or its cookie changed, after the request had
	// loaded it. Its data are gone; saving brings nothing back.
	ErrEnded = errors.New("session: the session has ended")
	// ErrNotYours: the request's session belongs to somebody else than the one who
	// makes the request. It reads as empty and cannot be saved.
	ErrNotYours = errors.New("session: the session is not that of who makes the request")
	// ErrTooLarge: the values are longer than storage.MaxSessionDataBytes when encoded.
	ErrTooLarge = errors.New("session: too much data")
)

// Store is a sessions.Store of gorilla/sessions over the scheme's rows. Values keep
// their Go types: bool, integers, floats, string, []byte, time.Time, time.Duration, slices
// and maps of these, and types that the program passed to gob.Register, such as a named
// string or an encoding.TextMarshaler. Anything else is an error of Save.
//
// The session whose name is Options.Cookie is the one that people log in to; others
// are separate, with cookies and rows of their own, and nobody in them. Nothing is
// written before there are values. Where they did not change Save writes, once in
// Options.Interval, that the session was used, and sends the cookie with its new end.
// Saving from several requests at once keeps the changes of all: each writes the keys
// that it changed, and of two changes of one key the later holds.
//
// Save honors a session's Options or returns an *OptionsError. A MaxAge below 0 ends the
// session and its cookie, 0 leaves Max-Age out of the cookie, and a shorter one than
// Options.Idle makes a session end sooner, in the cookie and on the server, until a Save with
// another. SameSite may be Strict. HttpOnly is always on, and Secure over https. Domain,
// another Path than /, Partitioned and SameSite None are refused. The session that people log
// in to lives and looks as the scheme's Options say: others are refused for it.
type Store struct{ s *Scheme }

// Store returns the scheme's store.
func (s *Scheme) Store() *Store { return &Store{s} }

var _ sessions.Store = (*Store)(nil)

// Get returns the request's session of that name, the same one for each call. See
// New for the error; the session is never nil.
func (st *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(st, name)
}

// New loads the session of that name. A cookie that is absent, stale, malformed or
// there twice gives a new, empty session. The error is an *authn.Error of 403 where a
// request that is not safe comes from another site, and a fault where the store
// could not tell; the session is empty then and Save gives the same error.
func (st *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	return st.s.open(r, st, name, func(out *sessions.Session, held *loaded) error {
		found, err := st.row(r, name)
		if err != nil {
			return err
		}
		if found == nil { // browsers send no Lax cookie with another site's form: it must not begin a session
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

// open is New of both stores. load fills the session; its error is that of Save too.
func (s *frame) open(r *http.Request, st sessions.Store, name string, load func(*sessions.Session, *loaded) error) (*sessions.Session, error) {
	out := sessions.NewSession(st, name)
	out.IsNew, out.Options = true, s.gorillaOptions()
	held := &loaded{}
	stateOf(r).put(out, held)
	if cookieName(name) {
		held.bad = load(out, held)
	} else {
		held.bad = fmt.Errorf("session: session name %q is not valid (letters, digits, - and _, without __Host- and __Secure-)", name)
	}
	if errors.Is(held.bad, ErrNotYours) { // it reads as empty
		return out, nil
	}
	return out, held.bad
}

func (s *frame) gorillaOptions() *sessions.Options {
	return &sessions.Options{Path: "/", MaxAge: int(s.opts.Idle.Seconds()), Secure: !s.site.IsLoopback(), HttpOnly: true, SameSite: s.opts.SameSite}
}

// isOf reports whether a session of that subject is the request's: one of nobody, or of
// who makes the request with all rights of the account.
func isOf(r *http.Request, subject string) bool {
	id := authn.FromContext(r.Context())
	return subject == "" || id.Subject == subject && id.Issuer == "" && !id.Delegated()
}

// row returns the live row of the name's cookie, or nil.
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

// Save writes the values where they changed, and sets the cookie of a new session. A new session
// is not stored, and the error is nil, for a request that a page of another site embeds, such as an
// image: browsers drop its cookie, so that each would leave a row behind.
// The errors: ErrEnded, ErrNotYours, ErrTooLarge, an *OptionsError, a value of another type, an
// *authn.Error of 429 (see Options.VisitorsPerHour), that of New, or a fault. Nothing was written
// then.
func (st *Store) Save(r *http.Request, w http.ResponseWriter, v *sessions.Session) error {
	held := stateOf(r).get(v)
	if held == nil { // made for another request: find it again
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
		// A session of nobody has no other way to stay: nobody renews it.
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

// embedded reports a request of another site's page that is no navigation of the whole tab.
func embedded(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Dest") != "document"
}

// began reports whether this answer logs a user in: a new session of nobody would undo that.
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
		if cookie == st.s.cookie {
			if err := st.s.forget(w, r, held.row); err != nil {
				return err
			}
		}
		err := st.s.rows.DeleteSession(r.Context(), held.row.Digest)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err == nil {
			st.s.notify(audit.Context(r), audit.Logout, &held.row.Session, "")
		}
		held.row, held.bad = nil, ErrEnded
	}
	st.s.send(w, cookie, "", -1)
	return nil
}

// saveTries is how often a save begins again because another one was first.
const saveTries = 100

func (st *Store) update(ctx context.Context, v *sessions.Session, held *loaded, data []byte) error {
	if bytes.Equal(data, held.row.Data) {
		return nil
	}
	base, err := decode(held.row.Data)
	if err != nil {
		return err
	}
	now, version, stored := v.Values, held.row.Version, data
	for range saveTries {
		err = st.s.rows.SaveSession(ctx, held.row.Digest, version, stored)
		if !errors.Is(err, storage.ErrConflict) {
			break
		}
		var other storage.Session
		if other, _, err = st.s.rows.SessionByDigest(ctx, held.row.Digest); err != nil {
			break
		}
		theirs, err := decode(other.Data)
		if err != nil {
			return err
		}
		now = merge(base, v.Values, theirs)
		version = other.Version
		if stored, err = encode(now); err != nil {
			return err
		}
		if len(stored) > storage.MaxSessionDataBytes {
			return ErrTooLarge
		}
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		held.bad = ErrEnded
		return ErrEnded
	case err != nil:
		return err
	}
	changed := &row{Session: held.row.Session, text: held.row.text, next: held.row.next} // authentication's is not written to
	changed.Data, changed.Version = stored, version+1
	held.row, v.Values = changed, now
	return nil
}

// merge brings the changes from base to mine into theirs.
func merge(base, mine, theirs map[any]any) map[any]any {
	out := maps.Clone(theirs)
	for k, v := range mine {
		if was, ok := base[k]; !ok || !reflect.DeepEqual(was, v) {
			out[k] = v
		}
	}
	for k := range base {
		if _, ok := mine[k]; !ok {
			delete(out, k)
		}
	}
	return out
}
