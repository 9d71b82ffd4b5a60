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
	nextField     = login.Field{Name: "next", Optional: true}
)

// Login returns the endpoint that begins a session: POST of {"username", "password"}, as JSON,
// form or multipart body, answered with {"username": "…"} and the cookie. A further field
// "remember", true or false, counts if Options.Remember is set. See login.Handler, and
// Options.Login for other names and further members.
//
// It reads no other credential, so a stale one in the request changes nothing; mount it outside
// the chain (authz.Mux.Public). A request from another site is rejected with 403 before its
// password is checked: a page could log its visitor in as somebody else. It panics without a
// password checker.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler { return s.loginEndpoint(s, pw) }

// keeper begins and ends sessions: a Scheme or a Sealed.
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

// loginEndpoint returns the login that the endpoint and the page share.
func (s *frame) loginEndpoint(k keeper, pw authn.PasswordChecker, more ...login.Field) *login.Handler {
	return login.Must(login.New(pw, func(w http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error) {
		err := k.begins(w, r, l, more[0] != "")
		return []authn.Member{{Name: "username", Value: l.Name}}, err
	}, &login.Config{
		Scheme: s.Name(), Options: s.opts.Login, Fields: append([]login.Field{rememberField}, more...), Before: s.site.Check,
		Endpoints: s.endpoints, Audit: s.opts.Audit, Logger: s.opts.Logger,
	}))
}

// Logout returns the endpoint that ends the session of the request: POST, answered with 204
// whether there was one or not. It reads the cookie itself, whatever Authorization says, and
// rejects a request from another site with 403. If the session could not be ended, the answer is
// 503, and 401 for several cookies of the name.
func (s *Scheme) Logout() http.Handler { return s.logoutEndpoint(s) }

func (s *frame) logoutEndpoint(k keeper) http.Handler {
	return s.endpoints.NoContent(http.MethodPost, func(w http.ResponseWriter, r *http.Request) error {
		if err := s.site.Check(r); err != nil {
			return err
		}
		return k.EndCurrent(w, r)
	})
}

// maxListed is how many sessions the endpoint List shows.
const maxListed = 100

// listed is a session as the endpoint List shows it.
type listed struct {
	ID        string `json:"id"`
	Current   bool   `json:"current"`
	UserAgent string `json:"user_agent"`
	Address   string `json:"address"`
	Created   string `json:"created"`
	LastSeen  string `json:"last_seen"`
	Expiry    string `json:"expiry"`
}

// List returns the endpoint that lists the sessions of the account that is logged in, the last
// seen first, at most 100: GET, answered with a list of {"id", "current", "user_agent",
// "address", "created", "last_seen", "expiry"}. Mount it behind the chain. An identity that acts
// with less than the account's rights gets 403.
func (s *Scheme) List() http.Handler {
	list := s.endpoints.List(caller, func(ctx context.Context, subject, current string) (any, error) {
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

// End returns the endpoint that ends one session of the account that is logged in: DELETE with
// the session's ID as the path value "id", answered with 204, or 404 if the account has no such
// session. Mount it behind the chain, like List.
func (s *Scheme) End() http.Handler { return s.endpoints.RevokeOne(caller, s.EndOne) }

// EndOthers returns the endpoint that ends all sessions of the account that is logged in except
// the one of the request: POST, answered with 204. Mount it behind the chain, like List.
func (s *Scheme) EndOthers() http.Handler {
	return s.endpoints.NoContent(http.MethodPost, func(_ http.ResponseWriter, r *http.Request) error {
		subject, current, err := caller(r)
		if err != nil {
			return err
		}
		_, err = s.EndAll(audit.Context(r), subject, current)
		return err
	})
}

// caller returns the account that the request may manage, and the ID of its session.
func caller(r *http.Request) (subject, current string, err error) {
	id := authn.FromContext(r.Context())
	if !id.Authenticated() {
		return "", "", authn.NotAuthenticated()
	}
	return id.Subject, SessionID(id), login.FirstParty(id)
}

// maxNext is the longest next, in bytes: an authorization request fits.
const maxNext = 8 << 10

// SafeNext returns the path to which a login redirects the browser: next if it is a path of this
// origin, otherwise fallback. Everything that a browser could read as another host, another
// scheme or a header is rejected: "//evil", "/\evil", "/%09/evil", "https:evil".
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
	// A second slash begins a host, also if a proxy or a router only gets there by decoding
	// or cleaning the path.
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
