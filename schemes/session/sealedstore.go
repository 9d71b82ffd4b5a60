package session

import (
	"bytes"
	"crypto/subtle"
	"net/http"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
)

// SealedStore is a sessions.Store of gorilla/sessions in sealed cookies: what
// CookieStore is, with a bound on its age, values that keep their Go types, and cookies
// that no other name or purpose takes. Values are those of Store; a cookie has room for
// about 2,700 bytes of them.
type SealedStore struct{ s *Sealed }

// Store returns the scheme's store.
func (s *Sealed) Store() *SealedStore { return &SealedStore{s} }

var _ sessions.Store = (*SealedStore)(nil)

// Get returns the request's session of that name, the same one for each call. See
// New for the error; the session is never nil.
func (st *SealedStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(st, name)
}

// New loads the session of that name, as Store.New does.
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

// Save seals the values into the answer's cookie, where they changed or the cookie was
// sealed Options.Interval ago. The errors: ErrEnded, ErrNotYours, ErrTooLarge, an *OptionsError,
// a value of another type, that of New, or a fault. No cookie was set then.
func (st *SealedStore) Save(r *http.Request, w http.ResponseWriter, v *sessions.Session) error {
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
		// The cookie holds when the session began, and no other end: so it began so long ago that it
		// ends in time.
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

// overtaken reports whether the answer has ended the session that was loaded as held (nil: none),
// or begun another: after a logout or a login in this request, a Save would bring back who was
// logged in before, or undo the login.
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
	return subtle.ConstantTimeCompare([]byte(now.secret), []byte(held.secret)) == 0 // it stays until the next login
}
