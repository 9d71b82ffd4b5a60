package session

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Keep calls the function change, which revokes all credentials of the account, and keeps the user
// logged in in this browser. Use it for a change of the user's own password:
//
//	err := browsers.Keep(w, r, func() (authn.Login, error) {
//		return passwords.ChangeOwn(r, name, old, new)
//	})
//
// The session of the request gets a new cookie for the login that change returns. The session keeps
// its data, and a remembered login stays remembered. All other sessions and tokens are revoked.
// Data is lost if another request saves it in the session while change runs. If the handler is not
// behind the middleware, first check where the request comes from ([csrf.Site].Check).
//
// Errors:
//   - An error of change is returned, and the session is unchanged.
//   - Without a valid session of the login's user, change is not called, and the error is an
//     [*authn.Error] with status 401.
//   - [storage.ErrStale] means that the account was changed again at the same time. The new
//     password is set, but the user is logged out.
func (s *Scheme) Keep(w http.ResponseWriter, r *http.Request, change func() (authn.Login, error)) error {
	old, ok := s.own(authn.FromContext(r.Context())) // may come from a remembered login
	if ok {
		var err error
		if old, err = s.again(r, old); err != nil {
			return err
		}
	} else {
		var err error
		if old, err = s.loggedIn(r); err != nil {
			return err
		}
		// The request may have another user's token in addition to the cookie.
		if id := authn.FromContext(r.Context()); id.Authenticated() && (id.Subject != old.Subject || id.Issuer != "") {
			return authn.NotAuthenticated()
		}
	}
	login, err := change()
	if err != nil {
		return err
	}
	if login.Subject != old.Subject {
		return errors.New("session: Keep: the login and the session have different users")
	}
	// The change has revoked the session, so there is none to replace. The caller proved the
	// password, so it can have the data, even if the same user logged out in the meantime.
	was := &row{Session: old.Session, text: old.text}
	was.Digest = storage.Digest{}
	if s.memory != nil && familyOf(old.ID) != "" {
		err = s.logInRemembered(w, r, login, was)
	} else {
		err = s.logInAs(w, r, login, "", sameGroup(old.ID), was)
	}
	if err != nil {
		return err
	}
	for _, c := range login.Cookies {
		http.SetCookie(w, c)
	}
	return nil
}

// again reads a session again: the request, or another one, can have saved data since authentication
// read it.
func (s *Scheme) again(r *http.Request, old *row) (*row, error) {
	v, u, err := s.rows.SessionByDigest(r.Context(), old.Digest)
	switch {
	case err == nil && (!u.Active || v.Epoch != u.Epoch):
		err = credential.ErrEpoch
		fallthrough
	case errors.Is(err, storage.ErrNotFound):
		return nil, s.invalid.WithCause(err)
	case err != nil:
		return nil, err
	}
	return &row{Session: v, text: old.text}, nil
}
