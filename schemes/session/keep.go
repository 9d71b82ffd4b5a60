package session

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// Keep lets a user go on in this browser after change, which ends all credentials of the account,
// such as a change of the own password:
//
//	err := browsers.Keep(w, r, func() (authn.Login, error) {
//		return passwords.ChangeOwn(r, name, old, new)
//	})
//
// The session of the request gets a new cookie under the login that change returns, keeps its data,
// and stays remembered if it was. All other sessions and tokens have ended.
//
// An error of change is passed on, and the session is as before. Without a live session of the
// login's user change is not called, and the error is an *authn.Error of 401. Where the account was
// changed again in this moment the error is storage.ErrStale: the password is the new one, and
// nobody is logged in. The caller has checked where the request comes from, as the middleware does.
func (s *Scheme) Keep(w http.ResponseWriter, r *http.Request, change func() (authn.Login, error)) error {
	old, ok := s.own(authn.FromContext(r.Context())) // perhaps one that a remembered login began
	if !ok {
		var err error
		if old, err = s.loggedIn(r); err != nil {
			return err
		}
		// The request may carry another user's token beside the cookie.
		if id := authn.FromContext(r.Context()); id.Authenticated() && (id.Subject != old.Subject || id.Issuer != "") {
			return authn.NotAuthenticated()
		}
	}
	login, err := change()
	if err != nil {
		return err
	}
	if login.Subject != old.Subject {
		return errors.New("session: Keep: the login is another user's than the session")
	}
	// The change has ended the session, so there is none to replace. Who proved the password may have
	// its data, also where the same user logged out in between.
	was := &row{Session: old.Session, text: old.text}
	was.Digest = storage.Digest{}
	if s.memory != nil && familyOf(old.ID) != "" {
		err = s.logInRemembered(w, r, login, was)
	} else {
		err = s.logInFrom(w, r, login, "", was)
	}
	if err != nil {
		return err
	}
	for _, c := range login.Cookies {
		http.SetCookie(w, c)
	}
	return nil
}
