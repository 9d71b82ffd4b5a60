package session

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Start begins a session for a login that has just proved its password and sets the
// cookie on w. For handlers with a login form of their own; Login is the endpoint.
// The caller has checked where the request comes from (csrf.Site.Check).
//
// The session has a new cookie, whatever the request brought: what somebody planted
// in the browser is worth nothing (session fixation). The data of a session of nobody
// or of the same user go over to it; that of another user ends and leaves nothing. A
// cookie that is stale, malformed or there twice is as none.
//
// The error is storage.ErrStale where the user was disabled or got another password
// in this moment; then, and at any other error, nobody is logged in.
func (s *Scheme) Start(w http.ResponseWriter, r *http.Request, login authn.Login) error {
	return s.logIn(w, r, login, "")
}

// logIn is Start for a session of that series, "" for none. The series that the request
// brought ends.
func (s *Scheme) logIn(w http.ResponseWriter, r *http.Request, login authn.Login, series string) error {
	old, err := s.current(r)
	if err != nil {
		return err
	}
	return s.logInFrom(w, r, login, series, old)
}

// logInFrom is logIn for a request whose session is old, nil for none.
func (s *Scheme) logInFrom(w http.ResponseWriter, r *http.Request, login authn.Login, series string, old *row) error {
	if err := s.forget(w, r, old); err != nil {
		return err
	}
	now := s.now()
	next := storage.Session{Subject: login.Subject, Epoch: login.Epoch, AuthTime: now, Created: now}
	if series != "" {
		next.ID = series + "." + newID()
	}
	var replaces storage.Digest
	if old != nil {
		replaces = old.Digest
		if old.Subject == "" || old.Subject == login.Subject {
			next.Data = old.Data
		}
	}
	text, err := s.create(r, s.cookie, &next, replaces)
	if errors.Is(err, storage.ErrNotFound) && old != nil { // it was ended meanwhile: with its data
		next.Data = nil
		text, err = s.create(r, s.cookie, &next, storage.Digest{})
	}
	if err != nil {
		return err
	}
	s.set(w, s.cookie, text, &next)
	s.notify(audit.Context(r), audit.SessionCreated, &next, "")
	if series == "" {
		s.issued(w, r, next.Subject)
		s.surplus(audit.Context(r), next.Subject, next.ID)
	} else {
		s.surplusSeries(audit.Context(r), next.Subject, series)
	}
	return nil
}

// Regenerate gives the session of the request a new cookie and ends the old one: after a
// rise of privilege, such as a second factor. Its data and its limits stay. The error
// is an *authn.Error of 401 where there is no session of a user, also where it was
// ended in this moment.
func (s *Scheme) Regenerate(w http.ResponseWriter, r *http.Request) error {
	old, err := s.loggedIn(r)
	if err != nil {
		return err
	}
	next := old.Session
	text, err := s.create(r, s.cookie, &next, old.Digest)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrStale):
		return s.invalid.WithCause(err)
	case err != nil:
		return err
	}
	s.set(w, s.cookie, text, &next)
	s.issued(w, r, next.Subject)
	s.notify(audit.Context(r), audit.SessionRotated, &next, "")
	return nil
}

// loggedIn returns the live session of a user that the request's cookie names. Its errors are an
// *authn.Error of 401 or a fault.
func (s *Scheme) loggedIn(r *http.Request) (*row, error) {
	v, _, err := s.load(r)
	if errors.Is(err, errNoCookie) || err == nil && v.Subject == "" {
		err = authn.NotAuthenticated()
	}
	return v, err
}

// EndCurrent ends the session of the request, whichever user it belongs to, and deletes the cookie.
// The caller has checked where the request comes from.
//
// After an error the session may live on, and the caller says so: a fault, or an
// *authn.Error of 401 for a request with several cookies of the name, since it is not known
// which one is the user's. A request without a session is no error.
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
	if !errors.Is(err, errAhead) {
		old, err = holds(old, err)
		if err != nil {
			return err
		}
	}
	if err := s.forget(w, r, old); err != nil {
		return err
	}
	if old != nil {
		err := s.rows.DeleteSession(r.Context(), old.Digest)
		switch {
		case err == nil:
			s.notify(audit.Context(r), audit.Logout, &old.Session, "")
		case !errors.Is(err, storage.ErrNotFound): // else somebody else was first
			return err
		}
	}
	s.send(w, s.cookie, "", -1)
	return nil
}

// oneCookie refuses a request with several cookies of that name.
func (s *frame) oneCookie(r *http.Request, name string) error {
	if _, err := cookieValue(r, name); errors.Is(err, errSeveral) {
		return s.doubtful.WithCause(err)
	}
	return nil
}

// current returns the session of the request, or nil where there is none that holds.
// The error is a fault.
func (s *Scheme) current(r *http.Request) (*row, error) {
	old, _, err := s.find(r, s.cookie)
	return holds(old, err)
}

// holds returns what find returned, without its answers that there is none.
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

// newID returns the name of a session or a series.
func newID() string {
	id, _ := credential.NewID(rand.Reader) // never fails; see crypto/rand
	return id
}

// create fills in what every new row has, inserts it, and returns its cookie's text.
// A row that has an ID keeps it.
func (s *Scheme) create(r *http.Request, cookie string, v *storage.Session, replaces storage.Digest) (string, error) {
	text, err := format.New(s.opts.Rand)
	if err != nil {
		return "", err
	}
	if v.ID == "" {
		v.ID = newID()
	}
	return text, s.insert(r, cookie, text, v, replaces, s.opts.Idle)
}

// insert is create for a text and an ID that there are, and for a session that lives unused for
// idle.
func (s *Scheme) insert(r *http.Request, cookie, text string, v *storage.Session, replaces storage.Digest, idle time.Duration) error {
	now := s.now()
	v.Digest, v.Version, v.LastSeen = digestOf(cookie, text), 1, now
	v.Ends = v.Created.Add(s.opts.Absolute)
	if v.Expires = now.Add(idle); v.Expires.After(v.Ends) {
		v.Expires = v.Ends
	}
	v.UserAgent = credential.Printable(r.Header.Get("User-Agent"), storage.MaxIDBytes)
	v.Address = ""
	if a := s.opts.Proxies.ClientAddr(r); a.IsValid() {
		v.Address = a.String()
	}
	return s.rows.CreateSession(r.Context(), *v, replaces)
}

func (s *Scheme) set(w http.ResponseWriter, cookie, text string, v *storage.Session) {
	s.send(w, cookie, text, s.maxAge(v.Expires, s.now()))
}

// Sessions returns up to limit sessions of the user, the last seen first, without
// those that are over.
func (s *Scheme) Sessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	list, err := s.rows.ListSessions(ctx, subject, limit)
	if err != nil {
		return nil, err
	}
	now, live := s.now(), list[:0]
	for _, v := range list {
		if !v.Expired(now) && !ahead(now, v.Created, v.LastSeen) {
			live = append(live, v)
		}
	}
	return live, nil
}

// EndOne ends the user's session with that ID, and what its browser remembers of the
// login; storage.ErrNotFound where the user has none.
func (s *Scheme) EndOne(ctx context.Context, subject, id string) error {
	if err := s.endOne(ctx, subject, id); err != nil {
		return err
	}
	s.notify(ctx, audit.SessionEnded, &storage.Session{Subject: subject, ID: id}, "")
	return nil
}

// EndAll ends the user's sessions but the one whose ID is keep ("" keeps none), with what
// other browsers remember of logins, and returns how many sessions there were.
func (s *Scheme) EndAll(ctx context.Context, subject, keep string) (int, error) {
	if err := s.forgetAll(ctx, subject, familyOf(keep)); err != nil {
		return 0, err
	}
	n, err := s.rows.DeleteSessionsOf(ctx, subject, keep)
	if err == nil && n > 0 {
		s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.SessionEnded, Scheme: s.Name(), Subject: subject, Count: n})
	}
	return n, err
}
