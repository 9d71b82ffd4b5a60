package server

import (
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Sessions connects the pages for users with the application's sessions. Packages consent and
// openid need it.
type Sessions struct {
	// Of returns the session by which an identity was authenticated, and the session's epoch. Use
	// the method FromIdentity of the session scheme; required. It MUST return false for a session
	// of another scheme. Otherwise, if that scheme has its own accounts, a customer could approve a
	// client for the member of staff with the same ID.
	Of func(authn.Identity) (session string, epoch int64, ok bool)
	// Token returns the CSRF token for a form of the identity's session; use session.Token. It is
	// needed for browsers that do not send the origin of a request. It is optional; nil means no
	// token.
	Token func(authn.Identity) string
}

// SessionUser is the user of a session, with all rights of the account.
type SessionUser struct {
	Subject, Session, Name string
	Epoch                  int64
	// AuthTime, ACR and AMR describe the login; see [authn.Identity].
	AuthTime time.Time
	ACR      string
	AMR      []string
}

// User returns the user of a request's session. It returns false for anonymous requests and for
// requests authenticated by other credentials. It returns an error if Of panics.
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
	u := SessionUser{Subject: id.Subject, Session: session, Name: id.Subject, Epoch: epoch, AuthTime: id.AuthTime, ACR: id.ACR, AMR: id.AMR}
	if account, ok := id.User.(*storage.Account); ok {
		u.Name = account.Name
	}
	return u, true, nil
}

// FormToken returns the CSRF token for a form of the request's session, or "" if Token is nil. It
// returns an error if Token panics.
func (s Sessions) FormToken(r *http.Request) (string, error) {
	if s.Token == nil {
		return "", nil
	}
	return audit.Call("server.Sessions.Token", func() (string, error) { return s.Token(authn.FromContext(r.Context())), nil })
}
