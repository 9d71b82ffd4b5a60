package session

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/loginform"
	"github.com/vestibule-auth/vestibule/storage"
)

// Login returns the endpoint that begins a session: POST of {"username", "password"},
// as JSON or as a form, answered with {"username": "…"} and the cookie. A further field
// "remember", true or false, is heeded where Options.Remember is set. It looks at no
// other credential, so a stale one in the request changes nothing; mount it outside
// the chain (authz.Mux.Bare). A request from another site is refused with 403 before
// its password is looked at: a page could log its visitor in as somebody else.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	return s.loginEndpoint(s, pw)
}

// keeper is who begins and ends sessions: a Scheme or a Sealed.
type keeper interface {
	begins(w http.ResponseWriter, r *http.Request, login authn.Login, remember bool) error
	LogOut(w http.ResponseWriter, r *http.Request) error
}

func (s *Scheme) begins(w http.ResponseWriter, r *http.Request, login authn.Login, remember bool) error {
	if remember {
		return s.LogInRemembered(w, r, login)
	}
	return s.LogIn(w, r, login)
}

func (s *frame) loginEndpoint(k keeper, pw authn.PasswordChecker) http.Handler {
	if pw == nil {
		panic("session: Login without a password checker")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, login, err := s.login(k, w, r, pw)
		if err != nil {
			authn.Respond(w, r, s.own(err))
			return
		}
		answer(w, struct {
			Username string `json:"username"`
		}{login.Name})
	})
}

// login reads a login, and further fields, checks it, and begins the session. The
// values are returned where they could be read.
func (s *frame) login(k keeper, w http.ResponseWriter, r *http.Request, pw authn.PasswordChecker, more ...loginform.Field) ([]string, authn.Login, error) {
	var none authn.Login
	if r.Method == http.MethodPost {
		if err := s.site.Check(r); err != nil {
			return nil, none, err
		}
	}
	remember := loginform.Field{Name: "remember", Optional: true, Bool: true}
	v, err := loginform.Read(w, r, append([]loginform.Field{loginform.Username, loginform.Password, remember}, more...)...)
	if err != nil {
		return nil, none, err
	}
	login, err := audit.Call("authn.PasswordChecker", func() (authn.Login, error) { return pw.CheckPassword(r, v[0], v[1]) })
	if err != nil {
		return v, none, err
	}
	switch err := k.begins(w, r, login, v[2] != ""); {
	case errors.Is(err, storage.ErrStale): // disabled, or its password changed, a moment ago
		return v, none, authn.InvalidLogin().With(err)
	case err != nil:
		return v, none, err
	}
	for _, c := range login.Cookies {
		http.SetCookie(w, c)
	}
	return v, login, nil
}

// Logout returns the endpoint that ends the session of the request: POST, answered
// with 204 whether there was one or not. It reads the cookie itself, whatever
// Authorization says, and refuses a request from another site with 403. If the session
// could not be ended the answer is 503, and for several cookies of the name 401, never 204.
func (s *Scheme) Logout() http.Handler { return s.logoutEndpoint(s) }

func (s *frame) logoutEndpoint(k keeper) http.Handler {
	return s.only(http.MethodPost, func(w http.ResponseWriter, r *http.Request) error {
		if err := s.site.Check(r); err != nil {
			return err
		}
		if err := k.LogOut(w, r); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// maxListed is how many sessions List shows.
const maxListed = 100

// listed is a session as List shows it.
type listed struct {
	ID        string `json:"id"`
	Current   bool   `json:"current"`
	UserAgent string `json:"user_agent"`
	Address   string `json:"address"`
	Created   string `json:"created"`
	LastSeen  string `json:"last_seen"`
	Expiry    string `json:"expiry"`
}

// List returns the endpoint that shows whoever is logged in the account's sessions,
// the last seen first, at most 100: GET, answered with a list of {"id", "current",
// "user_agent", "address", "created", "last_seen", "expiry"}. It goes behind the
// chain; an identity that acts with less than the account's rights gets 403 (RULES C7).
func (s *Scheme) List() http.Handler {
	return s.only(http.MethodGet, func(w http.ResponseWriter, r *http.Request) error {
		id, err := firstParty(r)
		if err != nil {
			return err
		}
		sessions, err := s.Sessions(r.Context(), id.Subject, maxListed)
		if err != nil {
			return err
		}
		list := make([]listed, len(sessions))
		for i, v := range sessions {
			list[i] = listed{v.ID, v.ID == SessionID(id), v.UserAgent, v.Address, wireTime(v.Created), wireTime(v.LastSeen), wireTime(v.Expires)}
		}
		private(w.Header())
		answer(w, list)
		return nil
	})
}

// End returns the endpoint that ends one session of whoever is logged in: DELETE with
// the session's ID as the path value "id", answered with 204, or 404 where the account
// has none of that ID. It goes behind the chain, as List does.
func (s *Scheme) End() http.Handler {
	return s.only(http.MethodDelete, func(w http.ResponseWriter, r *http.Request) error {
		id, err := firstParty(r)
		if err != nil {
			return err
		}
		name := r.PathValue("id")
		if storage.CheckID("session id", name) != nil {
			return authn.NotFound("")
		}
		switch err := s.EndOne(r.Context(), id.Subject, name); {
		case errors.Is(err, storage.ErrNotFound):
			return authn.NotFound("")
		case err != nil:
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// EndOthers returns the endpoint that ends all sessions of whoever is logged in but
// the one that the request came with: POST, answered with 204. It goes behind the
// chain, as List does.
func (s *Scheme) EndOthers() http.Handler {
	return s.only(http.MethodPost, func(w http.ResponseWriter, r *http.Request) error {
		id, err := firstParty(r)
		if err != nil {
			return err
		}
		if _, err := s.EndAll(r.Context(), id.Subject, SessionID(id)); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// firstParty returns the identity that may manage the account (RULES C7).
func firstParty(r *http.Request) (authn.Identity, error) {
	id := authn.FromContext(r.Context())
	switch {
	case !id.Authenticated():
		return id, authn.NotAuthenticated()
	case id.Subject == "" || id.Issuer != "" || id.Delegated():
		return id, authn.PermissionDenied("")
	}
	return id, nil
}

// maxNext is the longest next, in bytes: an authorization request fits.
const maxNext = 8 << 10

// SafeNext returns the path that a login may send the browser on to: next where it is
// a path of this very origin, else fallback. Whatever a browser could read as another
// host, another scheme or a header is none: "//evil", "/\evil", "/%09/evil",
// "https:evil".
func SafeNext(next, fallback string) string {
	if next == "" || next[0] != '/' || len(next) > maxNext {
		return fallback
	}
	for i := range len(next) {
		if c := next[i]; c <= ' ' || c > '~' || c == '\\' {
			return fallback
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return fallback
	}
	// A second slash, also one that a proxy or a router may decode or clean its way
	// to, would begin a host.
	path := u.Path
	for i := range len(path) {
		if c := path[i]; c < ' ' || c == '\\' || c == 0x7f {
			return fallback
		}
	}
	if strings.HasPrefix(path, "//") || strings.Contains(path, "/../") || strings.Contains(path, "/./") || strings.HasSuffix(path, "/..") {
		return fallback
	}
	return next
}

// only answers one method (and HEAD beside GET), and f's error as this scheme does.
func (s *frame) only(method string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
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

// own gives a 401 of this scheme's endpoints this scheme's challenge, never that of
// another one of the chain.
func (s *frame) own(err error) error {
	var e *authn.Error
	if errors.As(err, &e) && e != nil && e.Status == http.StatusUnauthorized {
		return e.WithChallenge(s.challenge)
	}
	return authn.Undecided(err)
}

func answer(w http.ResponseWriter, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// wireTime is RFC 3339 with microseconds, in UTC.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
