package knox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/loginform"
	"github.com/vestibule-auth/vestibule/storage"
)

// Login returns the endpoint that exchanges a name and a password for a new
// token: POST of {"username", "password"} and, where wanted, "name", as JSON or
// as a form, answered with {"token": "…", "expiry": "…"}; the expiry is null for a
// token that has none. At the limit the answer is 403 with the code token_limit.
// It looks at no other credential, so a stale one in the request changes nothing;
// mount it outside the chain (authz.Mux.Bare).
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	if pw == nil {
		panic("knox: Login without a password checker")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, t, login, err := s.login(w, r, pw)
		if err != nil {
			authn.Respond(w, r, s.own(err))
			return
		}
		for _, c := range login.Cookies {
			http.SetCookie(w, c)
		}
		answer(w, struct {
			Token  string  `json:"token"`
			Expiry *string `json:"expiry"`
		}{text, wireTime(t.Expires)})
	})
}

func (s *Scheme) login(w http.ResponseWriter, r *http.Request, pw authn.PasswordChecker) (string, storage.Credential, authn.Login, error) {
	var none storage.Credential
	v, err := loginform.Read(w, r, loginform.Username, loginform.Password, loginform.Field{Name: "name", Trim: true, Optional: true})
	if err != nil {
		return "", none, authn.Login{}, err
	}
	if len(v[2]) > storage.MaxIDLen {
		return "", none, authn.Login{}, &authn.Error{Status: http.StatusBadRequest, Code: "invalid", Members: []authn.Member{
			{Name: "name", Value: []string{fmt.Sprintf("Ensure this field has no more than %d bytes.", storage.MaxIDLen)}}}}
	}
	login, err := audit.Call("authn.PasswordChecker", func() (authn.Login, error) { return pw.CheckPassword(r, v[0], v[1]) })
	if err != nil {
		return "", none, authn.Login{}, err
	}
	text, t, err := s.issue(r.Context(), login.Subject, login.Epoch, Token{Name: v[2]}, LoggedIn)
	switch {
	case errors.Is(err, storage.ErrStale): // disabled, or its password changed, a moment ago
		err = authn.InvalidLogin().With(err)
	case errors.Is(err, storage.ErrLimit):
		err = limitReached().With(err)
	}
	return text, t, login, err
}

// limitReached is the 403 of django-rest-knox.
func limitReached() *authn.Error {
	return &authn.Error{Status: http.StatusForbidden, Code: "token_limit", Detail: "Maximum amount of tokens allowed per user exceeded.",
		Members: []authn.Member{{Name: "code", Value: "token_limit"}}}
}

// Logout returns the endpoint that ends the token of the request: POST, answered
// with 204. It reads the token itself, whatever chain it stands behind. Where the
// token could not be ended the answer is 503, never 204.
func (s *Scheme) Logout() http.Handler {
	return s.logout(func(r *http.Request, id authn.Identity) error {
		err := s.end(r.Context(), id.Subject, id.Credential.(*storage.Credential).ID, LoggedOut)
		if errors.Is(err, storage.ErrNotFound) { // somebody else was first: it is gone
			err = nil
		}
		return err
	})
}

// LogoutAll returns the endpoint that ends all tokens of the user whose token the
// request carries: POST, answered with 204. A token that is limited to scopes is
// refused with 403 (RULES C7). Credentials of other schemes stay; BumpEpoch of the
// store ends those too. Otherwise it is as Logout.
func (s *Scheme) LogoutAll() http.Handler {
	return s.logout(func(r *http.Request, id authn.Identity) error {
		if err := firstParty(id); err != nil {
			return err
		}
		_, err := s.endAll(r.Context(), id.Subject, "", LoggedOut)
		return err
	})
}

// LogoutOthers is as LogoutAll, but the token of the request stays.
func (s *Scheme) LogoutOthers() http.Handler {
	return s.logout(func(r *http.Request, id authn.Identity) error {
		if err := firstParty(id); err != nil {
			return err
		}
		_, err := s.endAll(r.Context(), id.Subject, id.Credential.(*storage.Credential).ID, LoggedOut)
		return err
	})
}

// logout answers POST by doing end for the identity of the request's own token.
func (s *Scheme) logout(end func(*http.Request, authn.Identity) error) http.Handler {
	return s.only(http.MethodPost, func(w http.ResponseWriter, r *http.Request) error {
		text, err := s.text(r)
		if err != nil {
			return err
		}
		id, _, _, err := s.identify(r.Context(), storage.DigestOf(text), s.opts.Clock())
		if err != nil {
			return err
		}
		if err := end(r, id); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// only answers one method (and HEAD beside GET), and f's error as this scheme does.
func (s *Scheme) only(method string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			authn.Respond(w, r, authn.MethodNotAllowed(r.Method))
			return
		}
		if err := f(w, r); err != nil {
			authn.Respond(w, r, s.own(err))
		}
	})
}

// firstParty refuses an identity that acts for the account with less than its
// rights, or that another issuer vouches for (RULES C7).
func firstParty(id authn.Identity) error {
	if id.Subject == "" || id.Issuer != "" || id.Delegated() {
		return authn.PermissionDenied("")
	}
	return nil
}

// own gives a 401 of this scheme's endpoints this scheme's challenge, never that
// of another one of the chain.
func (s *Scheme) own(err error) error {
	var e *authn.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, authn.ErrUnrecognized):
		e = s.invalid
	case errors.Is(err, authn.ErrNoCredentials):
		e = authn.NotAuthenticated()
	default:
		return authn.Undecided(err)
	}
	if e.Status == http.StatusUnauthorized {
		e = e.WithChallenge(s.Challenge(nil, e))
	}
	return e
}

func answer(w http.ResponseWriter, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// wireTime is RFC 3339 with microseconds, in UTC; nil for never.
func wireTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000000Z")
	return &s
}
