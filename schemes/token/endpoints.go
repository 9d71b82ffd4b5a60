package token

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/loginform"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

var purpose = keys.StaticToken

// Login returns the endpoint that exchanges a name and a password for the token:
// POST of {"username", "password"} as JSON or as a form, answered with
// {"token": "…"}. It looks at no other credential, so a stale one in the request
// changes nothing; mount it outside the chain (authz.Mux.Bare).
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	if pw == nil {
		panic("token: Login without a password checker")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, login, err := s.login(w, r, pw)
		if err != nil {
			authn.Respond(w, r, s.own(err))
			return
		}
		for _, c := range login.Cookies {
			http.SetCookie(w, c)
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(struct {
			Token string `json:"token"`
		}{text})
	})
}

func (s *Scheme) login(w http.ResponseWriter, r *http.Request, pw authn.PasswordChecker) (string, authn.Login, error) {
	v, err := loginform.Read(w, r, loginform.Username, loginform.Password)
	if err != nil {
		return "", authn.Login{}, err
	}
	login, err := audit.Call("authn.PasswordChecker", func() (authn.Login, error) { return pw.CheckPassword(r, v[0], v[1]) })
	if err != nil {
		return "", authn.Login{}, err
	}
	text, err := s.Token(r.Context(), login.Subject, login.Epoch)
	if errors.Is(err, storage.ErrStale) { // disabled, or its password changed, a moment ago
		err = authn.InvalidLogin().With(err)
	}
	return text, login, err
}

// Logout returns the endpoint that deletes the token of the request: POST,
// answered with 204. It reads the token itself, whatever chain it stands behind.
// Where the token could not be deleted the answer is 503, never 204.
func (s *Scheme) Logout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			authn.Respond(w, r, authn.MethodNotAllowed(r.Method))
			return
		}
		id, err := s.Authenticate(r)
		if err == nil {
			err = s.store.DeleteStaticToken(r.Context(), id.Credential.(*storage.StaticToken).Digest)
			if errors.Is(err, storage.ErrNotFound) { // somebody else was first: it is gone
				err = nil
			}
		}
		if err != nil {
			authn.Respond(w, r, s.own(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// own gives a 401 of this scheme's endpoints this scheme's challenge, never that
// of another one of the chain.
func (s *Scheme) own(err error) error {
	if errors.Is(err, authn.ErrUnrecognized) {
		err = s.invalid
	} else if errors.Is(err, authn.ErrNoCredentials) {
		err = authn.NotAuthenticated()
	}
	var e *authn.Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		return e.WithChallenge(s.Challenge(nil, e))
	}
	return authn.Undecided(err)
}
