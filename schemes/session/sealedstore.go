package session

import (
	"bytes"
	"crypto/subtle"
	"net/http"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
)

// SealedStore implements [sessions.Store] of gorilla/sessions with sealed cookies. It differs from
// gorilla's CookieStore: sessions have an absolute timeout, values keep their Go types, and a
// cookie is not accepted under another name or for another purpose. See [Store] for the supported
// values. A cookie has space for about 2,700 bytes of values.
type SealedStore struct{ s *Sealed }

// Store returns a gorilla store with the scheme's sessions.
func (s *Sealed) Store() *SealedStore { return &SealedStore{s} }

var _ sessions.Store = (*SealedStore)(nil)

// Get returns the request's session of that name, the same one on each call. The session is never
// nil, and the error is the error of [SealedStore.New].
func (st *SealedStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(st, name)
}

// New loads the session of that name, in the same way as [Store.New].
func (st *SealedStore) New(r *http.Request, name string) (*sessions.Session, error) {
	return st.s.open(r, st, name, func(out *sessions.Session, held *loaded) error { return st.load(r, name, out, held) })
}

func (st *SealedStore) load(r *http.Request, name string, out *sessions.Session, held *loaded) error {
	found, ok := st.s.own(authn.FromContext(r.Context()))
	if !ok || name != st.s.opts.Cookie {
		var err error
		if found, err = st.s.current(r, st.s.wireName(name)); err != nil {
			return err
		}
		if found == nil { // see Store.New
			return st.s.site.Check(r)
		}
	}
	if err := st.s.fromHere(r, found.secret); err != nil {
		return err
	}
	if !isOf(r, found.subject) {
		return ErrNotYours
	}
	values, err := decode(found.data)
	if err != nil {
		return err
	}
	held.sealed = found
	out.IsNew, out.Values = false, values
	return nil
}

// Save seals the values into a cookie of the response if they changed, or if the cookie was sealed
// at least Options.Interval ago. It returns [ErrEnded], [ErrNotYours], [ErrTooLarge], an
// [*OptionsError], an error for a value of an unsupported type, or the error of New. After an
// error, no cookie was set.
func (st *SealedStore) Save(r *http.Request, w http.ResponseWriter, v *sessions.Session) error {
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
	s, cookie := st.s, st.s.wireName(v.Name())
	private(w.Header())
	if v.Options != nil && v.Options.MaxAge < 0 {
		held.sealed, held.bad = nil, ErrEnded
		s.send(w, cookie, "", -1)
		return nil
	}
	if s.overtaken(w, cookie, held.sealed) {
		held.sealed, held.bad = nil, ErrEnded
		return ErrEnded
	}
	as, err := s.lookOf(v.Options, cookie == s.cookie)
	if err != nil {
		return err
	}
	data, err := encode(v.Values)
	if err != nil {
		return err
	}
	now := s.now()
	next := content{data: data, created: now}
	if old := held.sealed; old != nil {
		if bytes.Equal(data, old.data) && as.idle == s.opts.Idle && s.opts.Interval > 0 && s.now().Sub(old.seen) < s.opts.Interval {
			return nil
		}
		next = *old
		next.data = data
	} else if len(data) == 0 {
		return nil
	} else if next.secret, err = s.newSecret(); err != nil {
		return err
	}
	if as.idle != s.opts.Idle {
		// The cookie contains only the time at which the session began, and not its expiry. So set
		// an earlier beginning, which makes the session expire in time.
		if began := now.Add(as.idle - s.opts.Absolute); began.Before(next.created) {
			next.created = began
		}
	}
	if err := s.setAs(w, cookie, &next, as); err != nil {
		return err
	}
	if held.sealed, v.IsNew = &next, false; cookie == s.cookie {
		s.issued(w, r, &next)
	}
	return nil
}

// overtaken reports whether the response has already deleted the session held (nil: none), or begun
// another one. After a logout or a login in this request, Save would restore the previous user or
// undo the login.
func (s *Sealed) overtaken(w http.ResponseWriter, cookie string, held *content) bool {
	text, ok := answered(w.Header(), cookie)
	switch {
	case !ok:
		return false
	case text == "":
		return held != nil
	}
	now, err := open(s.ring, keys.SessionSeal, s.bound(cookie), text)
	if err != nil {
		return true
	}
	if held == nil {
		return now.subject != ""
	}
	return subtle.ConstantTimeCompare([]byte(now.secret), []byte(held.secret)) == 0 // the secret changes only with a login
}
