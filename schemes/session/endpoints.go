package session

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
)

// The fields of a login in addition to name and password.
var (
	rememberField = login.Field{Name: "remember", Optional: true, Bool: true}
	nextField     = login.Field{Name: "next", Optional: true, MaxBytes: 4 * maxNext} // a longer one than maxNext is ignored
)

// Login returns the login endpoint. It accepts a POST of {"username", "password"} as JSON, form or
// multipart body, and responds with {"username": "…"} and the session cookie. If Options.Remember
// is set, it also reads the boolean field "remember". See [login.Handler], and Options.Login for
// other field names and further members.
//
// It reads no other credentials, so expired ones in the request do not matter. Route to it without
// authentication (authz.Mux.Public).
//
// A request from another site is rejected with 403 before the password is checked. Otherwise a page
// could log its visitor in to another account. Login panics if pw is nil.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler { return s.loginEndpoint(s, pw) }

// keeper creates and deletes sessions. It is a Scheme or a Sealed.
type keeper interface {
	begins(w http.ResponseWriter, r *http.Request, login authn.Login, remember bool) error
	EndCurrent(w http.ResponseWriter, r *http.Request) error
}

func (s *Scheme) begins(w http.ResponseWriter, r *http.Request, login authn.Login, remember bool) error {
	if remember {
		return s.StartRemembered(w, r, login)
	}
	return s.Start(w, r, login)
}

// loginEndpoint returns the login handler that the endpoint and the page share.
func (s *frame) loginEndpoint(k keeper, pw authn.PasswordChecker, more ...login.Field) *login.Handler {
	return login.Must(login.New(pw, func(w http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error) {
		if err := askSecond(k, r, l, more); err != nil {
			return nil, err
		}
		err := k.begins(w, r, l, more[0] != "")
		return []authn.Member{{Name: "username", Value: l.Name}}, err
	}, &login.Config{
		Scheme: s.Name(), Options: s.opts.Login, Fields: append([]login.Field{rememberField}, more...), Before: s.site.Check,
		Endpoints: s.endpoints, Audit: s.opts.Audit, Logger: s.opts.Logger,
	}))
}

// Logout returns the logout endpoint. It accepts a POST and responds with 204, even if there was no
// session. It reads the cookie itself and ignores Authorization.
//
// A request from another site is rejected with 403. A request with several session cookies is
// rejected with 401. If the session could not be deleted, the response is 503.
func (s *Scheme) Logout() http.Handler { return s.logoutEndpoint(s) }

func (s *frame) logoutEndpoint(k keeper) http.Handler {
	return s.endpoints.NoContent(http.MethodPost, func(w http.ResponseWriter, r *http.Request) error {
		if err := s.site.Check(r); err != nil {
			return err
		}
		return k.EndCurrent(w, r)
	})
}

// maxListed is the largest number of sessions in the response of List.
const maxListed = 100

// listed is a session in the response of List.
type listed struct {
	ID        string `json:"id"`
	Current   bool   `json:"current"`
	UserAgent string `json:"user_agent"`
	Address   string `json:"address"`
	Created   string `json:"created"`
	LastSeen  string `json:"last_seen"`
	Expiry    string `json:"expiry"`
}

// List returns the endpoint that lists the sessions of the logged-in account, the most recently
// used first, at most 100. It accepts GET and responds with a list of {"id", "current",
// "user_agent", "address", "created", "last_seen", "expiry"}. Route to it through the chain. A
// scope-limited identity gets 403.
func (s *Scheme) List() http.Handler {
	list := s.endpoints.List(s.caller, func(ctx context.Context, subject, current string) (any, error) {
		sessions, err := s.Sessions(ctx, subject, maxListed)
		list := make([]listed, len(sessions))
		for i, v := range sessions {
			list[i] = listed{v.ID, v.ID == current, v.UserAgent, v.Address, login.Time(v.Created), login.Time(v.LastSeen), login.Time(v.Expires)}
		}
		return list, err
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		private(w.Header())
		list.ServeHTTP(w, r)
	})
}

// End returns the endpoint that deletes one session of the logged-in account. It accepts DELETE
// with the session's ID as the path value "id". The response is 204, or 404 if the account has no
// such session. Route to it through the chain, like [Scheme.List].
func (s *Scheme) End() http.Handler { return s.endpoints.RevokeOne(s.caller, s.EndOne) }

// EndOthers returns the endpoint that deletes all sessions of the logged-in account except the
// request's own session. It accepts POST and responds with 204. Route to it through the chain, like
// [Scheme.List].
func (s *Scheme) EndOthers() http.Handler {
	return s.endpoints.NoContent(http.MethodPost, func(_ http.ResponseWriter, r *http.Request) error {
		subject, current, err := s.caller(r)
		if err != nil {
			return err
		}
		_, err = s.EndAll(audit.Context(r), subject, current)
		return err
	})
}

// caller returns the account whose sessions the request can manage, and the ID of the request's
// session.
func (s *Scheme) caller(r *http.Request) (subject, current string, err error) {
	id := authn.FromContext(r.Context())
	if !id.Authenticated() {
		return "", "", authn.NotAuthenticated()
	}
	if err := login.FirstPartyOf(id, s.rows); err != nil {
		return "", "", err
	}
	return id.Subject, SessionID(id), nil
}

// maxNext is the largest length of next in bytes. An authorization request fits.
const maxNext = 8 << 10

// SafeNext returns the path to which a login redirects the browser. It returns next if this is a
// path of this origin. Otherwise it returns fallback. It prevents open redirects: it rejects
// everything that a browser could interpret as another host, another scheme or a header, such as
// "//evil", "/\evil", "/%09/evil" and "https:evil".
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
	// A second slash begins a host, even if it appears only after a proxy or a router decoded or
	// cleaned the path.
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
