package server

import (
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Sessions connects pages for people with the application's sessions. Packages consent and
// openid need it.
type Sessions struct {
	// Of returns the session that an identity was authenticated by, and the epoch that it
	// holds: the method FromIdentity of the session scheme. Required. It MUST return false for a
	// session of another scheme: if that has accounts of its own, a customer could approve a
	// client for the member of staff with the same ID.
	Of func(authn.Identity) (session string, epoch int64, ok bool)
	// Token returns the CSRF token for a form of the identity's session: session.Token. With it
	// forms also work in browsers that do not send where a request comes from; nil is fine.
	Token func(authn.Identity) string
}

// SessionUser is the user of a session, with all rights of the account.
type SessionUser struct {
	Subject, Session, Name string
	Epoch                  int64
	AuthTime               time.Time
}

// User returns the user of a request's session. It returns false for anonymous requests, and for
// those authenticated by other credentials than a session. The error is a panic of Of.
func (s Sessions) User(r *http.Request) (_ SessionUser, ok bool, err error) {
	id := authn.FromContext(r.Context())
	var session string
	epoch, err := audit.Call("server.Sessions.Of", func() (epoch int64, _ error) {
		session, epoch, ok = s.Of(id)
		return epoch, nil
	})
	if err != nil || !ok || id.Subject == "" || id.Issuer != "" || id.Delegated() {
		return SessionUser{}, false, err
	}
	u := SessionUser{id.Subject, session, id.Subject, epoch, id.AuthTime}
	if account, ok := id.User.(*storage.Account); ok {
		u.Name = account.Name
	}
	return u, true, nil
}

// FormToken returns the CSRF token for a form of the request's session, or "" without Token. The
// error is a panic of Token.
func (s Sessions) FormToken(r *http.Request) (string, error) {
	if s.Token == nil {
		return "", nil
	}
	return audit.Call("server.Sessions.Token", func() (string, error) { return s.Token(authn.FromContext(r.Context())), nil })
}
