package migrate

import (
	"errors"
	"net/http"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// #region mover

// Mover starts a session for a user that the old program logged in.
type Mover struct {
	db       Moving
	Browsers *session.Scheme // the only scheme with sessions of these accounts
}

// NewMover returns a Mover and its scheme. The scheme records revocations; see [Moving].
func NewMover(db Store, site *csrf.Site, opts *session.Options) (*Mover, error) {
	moving := Moving{db}
	browsers, err := session.New(moving, site, opts)
	return &Mover{moving, browsers}, err
}

// start reports whether the browser is logged in now. It is not if the account is deleted or
// disabled, or if Vestibule ever revoked anything of it (a logout, a new password, log out
// everywhere): the old session may be older than that. Therefore the epoch is 0, and not that of
// the account. The time of the login is unknown, so routes with authz.Fresh ask for the password.
func (m *Mover) start(w http.ResponseWriter, r *http.Request, userID string) (bool, error) {
	user, err := m.db.UserByID(r.Context(), userID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, authn.Undecided(err) // 503
	}
	r = r.WithContext(moved(r.Context()))
	err = m.Browsers.Start(w, r, authn.Login{Subject: user.ID, Name: user.Name, Epoch: 0, AuthTime: authn.UnknownAuthTime})
	if errors.Is(err, storage.ErrStale) { // disabled, or revoked
		return false, nil
	}
	return err == nil, err
}

// next redirects to the page from which the visitor was sent to the login.
func next(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, session.SafeNext(r.URL.Query().Get("next"), "/"), http.StatusSeeOther)
}

// #endregion mover

// #region scs

// FromSCS is the login page for browsers that may still have a session of scs. Such a browser is
// logged in without a form, once. key is where the old program stored the user's ID.
func (m *Mover) FromSCS(old *scs.SessionManager, key string, form http.Handler) http.Handler {
	return old.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		userID := old.GetString(r.Context(), key) // GetInt if it is a number
		if r.Method != http.MethodGet || userID == "" {
			form.ServeHTTP(w, r)
			return
		}
		started, err := m.start(w, r, userID)
		if err != nil {
			authn.RespondPage(w, r, err) // 503; the old session stays
			return
		}
		old.Remove(r.Context(), key) // other data stays
		if !started {
			form.ServeHTTP(w, r)
			return
		}
		next(w, r)
	}))
}

// #endregion scs

// #region scsmount

// mountSCS mounts the login page. old is the session manager of the old program.
func mountSCS(mux *authz.Mux, m *Mover, old *scs.SessionManager, passwords authn.PasswordChecker) {
	mux.Public("/login", m.FromSCS(old, "userID", m.Browsers.LoginForm(passwords, nil)))
}

// #endregion scsmount

// #region gorilla

// FromGorilla is the login page for browsers that may still have a session of another store of
// gorilla/sessions, named name. Such a browser is logged in without a form, once.
func (m *Mover) FromGorilla(old sessions.Store, name, key string, form http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := old.Get(r, name)
		if err != nil { // a cookie that another key signed, or that is too old
			form.ServeHTTP(w, r)
			return
		}
		userID, ok := s.Values[key].(string)
		if r.Method != http.MethodGet || !ok {
			form.ServeHTTP(w, r)
			return
		}
		started, err := m.start(w, r, userID)
		if err == nil {
			delete(s.Values, key) // other data stays
			err = s.Save(r, w)
		}
		if err != nil {
			authn.RespondPage(w, r, err)
			return
		}
		if !started {
			form.ServeHTTP(w, r)
			return
		}
		next(w, r)
	})
}

// #endregion gorilla

// #region gorillamount

// mountGorilla mounts the login page. old is the store of the old program.
func mountGorilla(mux *authz.Mux, m *Mover, old sessions.Store, passwords authn.PasswordChecker) {
	mux.Public("/login", m.FromGorilla(old, "session-name", "user_id", m.Browsers.LoginForm(passwords, nil)))
}

// #endregion gorillamount
