package session

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Start creates a session for a login whose password was just verified, and sets the cookie on w.
// Use it in handlers with their own login form; [Scheme.Login] is a complete endpoint. Before the
// call, check where the request comes from ([csrf.Site].Check).
//
// The session always gets a new cookie, so a cookie that an attacker planted in the browser is
// useless (session fixation). Data from an anonymous session, or from the same user's, is kept. A
// session of another user is deleted with its data. A cookie that is expired, malformed or
// duplicated counts as absent.
//
// Start returns [storage.ErrStale] if the user was disabled or the password was changed at the same
// time. After an error, the user is not logged in.
func (s *Scheme) Start(w http.ResponseWriter, r *http.Request, login authn.Login) error {
	return s.logIn(w, r, login, "")
}

// logIn is Start for a session of a series; "" means no series. It ends the series of the request's
// cookies.
func (s *Scheme) logIn(w http.ResponseWriter, r *http.Request, login authn.Login, series string) error {
	old, err := s.current(r)
	if err != nil {
		return err
	}
	return s.logInFrom(w, r, login, series, old)
}

// logInFrom is logIn for a request with the session old; nil means none.
func (s *Scheme) logInFrom(w http.ResponseWriter, r *http.Request, login authn.Login, series string, old *row) error {
	return s.logInAs(w, r, login, series, "", old)
}

// logInAs is logInFrom with the ID of a session without a series; "" generates one.
func (s *Scheme) logInAs(w http.ResponseWriter, r *http.Request, login authn.Login, series, id string, old *row) error {
	now := s.now()
	next := storage.Session{Subject: login.Subject, Epoch: login.Epoch, AuthTime: login.At(now), ACR: login.ACR, AMR: login.AMR, Created: now}
	if series != "" {
		next.ID = series + "." + newID()
	}
	next.ID = cmp.Or(next.ID, id)
	take := old != nil && (old.Subject == "" || old.Subject == login.Subject)
	text, remembered := "", false
	err := s.changed(r, func(r *http.Request) (err error) {
		if remembered, err = s.forget(r, old); err != nil {
			return err
		}
		text, err = s.create(r, s.cookie, &next, old, take)
		if errors.Is(err, storage.ErrNotFound) && old != nil { // it was deleted in the meantime, with its data
			next.Data = nil
			text, err = s.create(r, s.cookie, &next, nil, false)
		}
		if err == nil {
			s.notify(r.Context(), audit.SessionCreated, &next, "")
		}
		return err
	})
	if err != nil {
		return err
	}
	s.unremember(w, remembered)
	s.set(w, s.cookie, text, &next)
	if series == "" {
		s.issued(w, r, next.Subject)
		s.surplus(audit.Context(r), next.Subject, next.ID)
	} else {
		s.surplusSeries(audit.Context(r), next.Subject, series)
	}
	return nil
}

// Regenerate gives the session of the request a new cookie and invalidates the old one. Call it
// when the session gains privileges. The data and the absolute timeout of the session are kept. To
// record that the user proved their identity again, use [Scheme.Reauthenticate] instead.
//
// The error is an [*authn.Error] with status 401 if there is no session of a user, or if the
// session was deleted at the same time. Other errors come from the store.
func (s *Scheme) Regenerate(w http.ResponseWriter, r *http.Request) error {
	old, err := s.loggedIn(r)
	if err != nil {
		return err
	}
	return s.regenerate(w, r, old, old.Session)
}

// regenerate replaces the session old by next, which gets a new cookie and the data of old.
func (s *Scheme) regenerate(w http.ResponseWriter, r *http.Request, old *row, next storage.Session) error {
	var text string
	err := s.changed(r, func(r *http.Request) (err error) {
		if text, err = s.create(r, s.cookie, &next, old, true); err == nil {
			s.notify(r.Context(), audit.SessionRotated, &next, "")
		}
		return err
	})
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrStale):
		return s.invalid.WithCause(err)
	case err != nil:
		return err
	}
	s.set(w, s.cookie, text, &next)
	s.issued(w, r, next.Subject)
	return nil
}

// loggedIn returns the valid session of a user for the request's cookie. It returns an *authn.Error
// with status 401 or the error of the store.
func (s *Scheme) loggedIn(r *http.Request) (*row, error) {
	v, _, err := s.userOf(r)
	return v, err
}

// userOf is loggedIn with the account.
func (s *Scheme) userOf(r *http.Request) (*row, storage.User, error) {
	v, u, err := s.load(r)
	if errors.Is(err, errNoCookie) || err == nil && v.Subject == "" {
		err = authn.NotAuthenticated()
	}
	return v, u, err
}

// EndCurrent deletes the session of the request and its cookie, even if the session belongs to
// another user. Before the call, check where the request comes from. A request without a session is
// not an error.
//
// After an error, the session may still be valid, so tell the user that the logout failed. An
// [*authn.Error] with status 401 means that the request has several session cookies, and it is
// unknown which one belongs to the user. Any other error is a store failure.
func (s *Scheme) EndCurrent(w http.ResponseWriter, r *http.Request) error {
	if err := s.oneCookie(r, s.cookie); err != nil {
		return err
	}
	if s.memory != nil {
		if err := s.oneCookie(r, s.memory.cookie); err != nil {
			return err
		}
	}
	old, _, err := s.find(r, s.cookie)
	if !errors.Is(err, errOver) || old == nil {
		if old, err = holds(old, err); err != nil {
			return err
		}
	} // otherwise it exists and could become valid again: by another clock, or if its account is enabled
	remembered := false
	err = s.changed(r, func(r *http.Request) (err error) {
		if remembered, err = s.forget(r, old); err != nil || old == nil {
			return err
		}
		return s.endNow(r, &old.Session)
	})
	if err != nil {
		return err
	}
	s.unremember(w, remembered)
	s.send(w, s.cookie, "", -1)
	return nil
}

// endNow deletes a session and reports its logout, unless another request deleted it first.
func (s *Scheme) endNow(r *http.Request, v *storage.Session) error {
	err := s.rows.DeleteSession(r.Context(), v.Digest)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err == nil {
		s.notify(r.Context(), audit.Logout, v, "")
	}
	return err
}

// oneCookie rejects a request with several cookies of that name.
func (s *frame) oneCookie(r *http.Request, name string) error {
	if _, err := cookieValue(r, name); errors.Is(err, errSeveral) {
		return s.doubtful.WithCause(err)
	}
	return nil
}

// current returns the valid session of the request, or nil. It returns errors of the store only.
func (s *Scheme) current(r *http.Request) (*row, error) {
	old, _, err := s.find(r, s.cookie)
	return holds(old, err)
}

// holds returns the result of find, but nil without an error if there is no valid session.
func holds(old *row, err error) (*row, error) {
	switch {
	case err == nil:
		return old, nil
	case errors.Is(err, errNoCookie), errors.Is(err, errSeveral), errors.Is(err, errShape),
		errors.Is(err, storage.ErrNotFound), errors.Is(err, errOver):
		return nil, nil
	}
	return nil, err
}

// newID returns the ID of a session or a series.
func newID() string {
	id, _ := credential.NewID(rand.Reader) // never fails; see crypto/rand
	return id
}

// create sets the fields of a new row, inserts it, and returns the value of its cookie. A row with
// an ID keeps it. For old and take, see replace.
func (s *Scheme) create(r *http.Request, cookie string, v *storage.Session, old *row, take bool) (string, error) {
	text, err := format.New(s.opts.Rand)
	if err != nil {
		return "", err
	}
	if v.ID == "" {
		v.ID = newID()
	}
	return text, s.replace(r, cookie, text, v, old, take)
}

// replace inserts v in place of old; nil replaces none. With take, v gets the data of old, as it is
// when v takes its place: other requests can save until then. It returns storage.ErrNotFound if old
// was deleted.
func (s *Scheme) replace(r *http.Request, cookie, text string, v *storage.Session, old *row, take bool) error {
	var from storage.Session
	if old != nil {
		from = old.Session // a row may be shared, so it is not modified
	}
	for try := 1; ; try++ {
		v.Version = 0
		if take {
			v.Data, v.Version = from.Data, from.Version
		}
		err := s.insert(r, cookie, text, v, from.Digest, s.opts.Idle)
		if !take || from.Digest.IsZero() || try == saveTries || !errors.Is(err, storage.ErrConflict) {
			return err
		}
		was := from.Version
		if from, _, err = s.rows.SessionByDigest(r.Context(), from.Digest); err != nil {
			return err
		}
		if from.Version == was { // the conflict is that of v
			return storage.ErrConflict
		}
	}
}

// insert sets the fields of a new row with an ID, and inserts it with the given cookie value and
// idle timeout. It replaces the row replaces, which must have v's Version unless that is 0.
func (s *Scheme) insert(r *http.Request, cookie, text string, v *storage.Session, replaces storage.Digest, idle time.Duration) error {
	now := s.now()
	v.Digest, v.LastSeen = digestOf(cookie, text), now
	v.Ends = v.Created.Add(s.opts.Absolute)
	if v.Expires = now.Add(idle); v.Expires.After(v.Ends) {
		v.Expires = v.Ends
	}
	v.UserAgent = credential.Printable(r.Header.Get("User-Agent"), storage.MaxIDBytes)
	v.Address = ""
	if a := s.opts.Proxies.ClientAddr(r); a.IsValid() {
		v.Address = a.String()
	}
	err := s.rows.CreateSession(r.Context(), *v, replaces)
	if err == nil {
		v.Version = 1
	}
	return err
}

func (s *Scheme) set(w http.ResponseWriter, cookie, text string, v *storage.Session) {
	s.send(w, cookie, text, s.maxAge(v.Expires, s.now()))
}
