package jwt

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/loginform"
	"github.com/vestibule-auth/vestibule/storage"
)

// The fields that the endpoints read.
var (
	refreshField = loginform.Field{Name: "refresh", Trim: true}
	tokenField   = loginform.Field{Name: "token", Trim: true}
	nameField    = loginform.Field{Name: "name", Trim: true, Optional: true}
)

// Login returns the endpoint that exchanges a name and a password for a pair: POST
// of {"username", "password"} and optionally the device's "name", answered with
// {"access", "refresh"}. Like all endpoints of the scheme it looks at no other
// credential; mount it outside the chain (authz.Mux.Bare).
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	if pw == nil {
		panic("jwt: Login without a password checker")
	}
	return s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
		login, name, err := s.login(w, r, pw)
		if err != nil {
			return nil, err
		}
		pair, err := s.Issue(r.Context(), login.Subject, login.Epoch, &Grant{Name: name})
		if err != nil {
			return nil, loginError(err)
		}
		for _, c := range login.Cookies {
			http.SetCookie(w, c)
		}
		return pairBody{pair.Access, pair.Refresh}, nil
	})
}

type pairBody struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}

func (s *Scheme) login(w http.ResponseWriter, r *http.Request, pw authn.PasswordChecker) (authn.Login, string, error) {
	v, err := loginform.Read(w, r, loginform.Username, loginform.Password, nameField)
	if err != nil {
		return authn.Login{}, "", err
	}
	if v[2] != "" && storage.CheckID("name", v[2]) != nil {
		return authn.Login{}, "", &authn.Error{Status: http.StatusBadRequest, Code: "invalid", Members: []authn.Member{
			{Name: "name", Value: []string{"Ensure this field has no more than 255 bytes."}}}}
	}
	login, err := audit.Call("authn.PasswordChecker", func() (authn.Login, error) { return pw.CheckPassword(r, v[0], v[1]) })
	return login, v[2], err
}

// loginError is what a login answers where Issue refuses: the account was disabled,
// or its password changed, a moment ago.
func loginError(err error) error {
	if errors.Is(err, storage.ErrStale) {
		return authn.InvalidLogin().With(err)
	}
	return err
}

// RefreshPair returns the endpoint that exchanges a refresh token: POST of
// {"refresh"}, answered with {"access", "refresh"}. A client that lost the answer
// sends the same request again within Options.Grace.
func (s *Scheme) RefreshPair() http.Handler {
	return s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := loginform.Read(w, r, refreshField)
		if err != nil {
			return nil, err
		}
		pair, _, err := s.refreshFrom(r.Context(), v[0], authn.SourceOf(s.opts.Proxies.ClientAddr(r)))
		if err != nil {
			return nil, err
		}
		return pairBody{pair.Access, pair.Refresh}, nil
	})
}

// Verify returns the endpoint that tells whether a token, access or refresh, would be
// accepted now: POST of {"token"}, answered with {} or 401.
func (s *Scheme) Verify() http.Handler {
	return s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := loginform.Read(w, r, tokenField)
		if err != nil {
			return nil, err
		}
		return struct{}{}, s.check(r, v[0])
	})
}

func (s *Scheme) check(r *http.Request, text string) error {
	if use, err := s.use(r.Context(), text); err == nil {
		_, err = s.rotator.Inspect(r.Context(), use)
		return s.refusal(err)
	} else if refused := (*authn.Error)(nil); !errors.As(err, &refused) {
		return err
	}
	if !shaped(text) {
		return s.invalid.With(errNoRefresh)
	}
	_, err := s.identify(r.Context(), text, s.sight(text))
	return err
}

// Blacklist returns the endpoint that ends a login by its refresh token: POST of
// {"refresh"}, answered with {}. The family's refresh tokens and access tokens stop
// working. Where that could not be written the answer is 503, never 200: the user is
// not logged out. A token that has ended already gives 200 too.
func (s *Scheme) Blacklist() http.Handler {
	return s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := loginform.Read(w, r, refreshField)
		if err != nil {
			return nil, err
		}
		return struct{}{}, s.notLoggedOut(r.Context(), s.Revoke(r.Context(), v[0]))
	})
}

// Logout returns the endpoint that ends the login of the request's access token: POST,
// answered with 204. It reads the token itself, whatever chain it stands behind. A
// 503 says that the user is not logged out.
func (s *Scheme) Logout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := error(nil)
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			err = authn.MethodNotAllowed(r.Method)
		} else {
			err = s.logout(r)
		}
		if err != nil {
			authn.Respond(w, r, s.bearer(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Scheme) logout(r *http.Request) error {
	id, err := s.Authenticate(r)
	if err != nil {
		return err
	}
	a := id.Credential.(*Access)
	if err := s.end(r, a); err != nil {
		return s.notLoggedOut(r.Context(), err)
	}
	s.tell(r.Context(), Event{LoggedOut, a.Subject, a.Family})
	return nil
}

// end ends an access token's family. A sliding token's family has no row, and one that
// was pruned has none any more: it is blocked for as long as the token is about.
func (s *Scheme) end(r *http.Request, a *Access) error {
	ctx := r.Context()
	if a.Type != TypeSliding && a.Family != "" {
		err := s.store.EndFamily(ctx, a.Family, s.rotator.BlockUntil())
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	until := a.Expires
	if a.RefreshUntil.After(until) {
		until = a.RefreshUntil
	}
	return s.store.Block(ctx, until.Add(2*s.opts.Leeway+time.Minute), a.keys.JTI, a.keys.SID)
}

// notLoggedOut says of a fault what it means for the user, and logs it.
func (s *Scheme) notLoggedOut(ctx context.Context, err error) error {
	var refused *authn.Error
	if err == nil || errors.As(err, &refused) || errors.Is(err, authn.ErrNoCredentials) {
		return err
	}
	s.logger().LogAttrs(ctx, slog.LevelError, "a logout could not be written", slog.String("scheme", s.Name()), slog.Any("error", err))
	return &authn.Error{
		Status: http.StatusServiceUnavailable, Code: "not_logged_out", RetryAfter: 5 * time.Second,
		Detail: "Service temporarily unavailable: you are not logged out, try again later.",
	}
}

// JWKS returns the endpoint that publishes the public keys (RFC 7517), for
// /.well-known/jwks.json. It may be kept for five minutes.
func (s *Scheme) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*") // it says the same to everyone
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "Accept, Content-Type, MCP-Protocol-Version, Mcp-Method, Mcp-Name")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			authn.Respond(w, r, authn.MethodNotAllowed(r.Method))
			return
		}
		set, err := s.keys.JWKS(r.Context())
		if err != nil {
			authn.Respond(w, r, authn.Undecided(err))
			return
		}
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(set)
	})
}

// endpoint answers with JSON that nobody keeps (RFC 6749 section 5.1), or with the
// error.
func (s *Scheme) endpoint(f func(http.ResponseWriter, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := f(w, r)
		if err != nil {
			authn.Respond(w, r, s.bearer(err))
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(body)
	})
}

// bearer gives a 401 of this scheme's endpoints this scheme's challenge, never that
// of another one of the chain.
func (s *Scheme) bearer(err error) error {
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
