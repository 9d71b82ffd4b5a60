package jwt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/storage"
)

// The fields that the endpoints read.
var (
	refreshField = login.Field{Name: "refresh", Trim: true}
	tokenField   = login.Field{Name: "token", Trim: true}
	nameField    = login.Field{Name: "name", Trim: true, Optional: true, MaxBytes: storage.MaxIDBytes}
)

// Login returns the endpoint that exchanges a name and a password for a pair: POST of
// {"username", "password"} and optionally the device's "name", answered with {"access",
// "refresh"}. See login.Handler, and Options.Login for other names and further members. Like
// all endpoints of the scheme it reads no other credential; mount it outside the chain
// (authz.Mux.Public). It panics without a password checker.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	return s.loginEndpoint(pw, func(_ http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error) {
		pair, err := s.Issue(audit.Context(r), l.Subject, l.Epoch, &Grant{Name: more[0]})
		if err == nil {
			authn.Issued(r, authn.Identity{Subject: l.Subject}, pair.Access)
			authn.Issued(r, authn.Identity{Subject: l.Subject}, pair.Refresh)
		}
		return []authn.Member{{Name: "access", Value: pair.Access}, {Name: "refresh", Value: pair.Refresh}}, err
	})
}

func (s *Scheme) loginEndpoint(pw authn.PasswordChecker, begin login.Begin) http.Handler {
	return login.Must(login.New(pw, begin, &login.Config{
		Scheme: s.Name(), Options: s.opts.Login, Fields: []login.Field{nameField}, Endpoints: s.endpoints, Audit: s.opts.Audit, Logger: s.opts.Logger,
	}))
}

// RefreshPair returns the endpoint that exchanges a refresh token: POST of {"refresh"}, answered
// with {"access", "refresh"}. A client that lost the answer sends the same request again within
// Options.Grace.
func (s *Scheme) RefreshPair() http.Handler {
	type body struct {
		Access  string `json:"access"`
		Refresh string `json:"refresh"`
	}
	return s.endpoints.JSON(http.MethodPost, func(w http.ResponseWriter, r *http.Request) (any, error) {
		text, own, err := read(w, r, refreshField)
		if err != nil {
			return nil, err
		}
		pair, subject, _, err := s.refreshFrom(audit.Context(r), text, rotation.SourceOf(s.opts.Proxies.ClientAddr(r)))
		if err == nil {
			own.Accepted(authn.Identity{Subject: subject}, pair.Access, pair.Refresh)
		}
		return body{pair.Access, pair.Refresh}, err
	})
}

// Verify returns the endpoint that reports whether a token, access or refresh, would be accepted
// now: POST of {"token"}, answered with {} or 401.
func (s *Scheme) Verify() http.Handler {
	return s.endpoints.JSON(http.MethodPost, func(w http.ResponseWriter, r *http.Request) (any, error) {
		text, own, err := read(w, r, tokenField)
		if err != nil {
			return nil, err
		}
		subject, err := s.check(r, text)
		if err == nil {
			own.Accepted(authn.Identity{Subject: subject})
		}
		return struct{}{}, err
	})
}

// read returns the token of a body, under the limits of refused credentials.
func read(w http.ResponseWriter, r *http.Request, field login.Field) (text string, own *authn.OwnCredential, err error) {
	v, err := login.Read(w, r, field)
	if err != nil {
		return "", nil, err
	}
	own, err = authn.AdmitOwn(r, v[0])
	return v[0], own, err
}

// check returns whose token it is.
func (s *Scheme) check(r *http.Request, text string) (subject string, err error) {
	if use, err := s.use(r.Context(), text); err == nil {
		st, err := s.rotator.Inspect(r.Context(), use)
		return st.Family.Subject, s.refusal(err)
	} else if refused := (*authn.Error)(nil); !errors.As(err, &refused) {
		return "", err
	}
	if !shaped(text) {
		return "", s.invalid.WithCause(errNoRefresh)
	}
	id, err := s.identify(r.Context(), text)
	return id.Subject, err
}

// Blocklist returns the endpoint that ends a login by its refresh token: POST of {"refresh"},
// answered with {}. The family's refresh tokens and access tokens are revoked. If that could not
// be written, the answer is 503: the user is not logged out. A token that was revoked before
// gives 200 too.
func (s *Scheme) Blocklist() http.Handler {
	return s.endpoints.JSON(http.MethodPost, func(w http.ResponseWriter, r *http.Request) (any, error) {
		text, own, err := read(w, r, refreshField)
		if err != nil {
			return nil, err
		}
		subject, err := s.revoke(audit.Context(r), text)
		switch {
		case err == nil && subject != "":
			own.Accepted(authn.Identity{Subject: subject})
		case err == nil:
			err = own.Unknown()
		}
		return struct{}{}, s.notLoggedOut(r.Context(), err)
	})
}

// Logout returns the endpoint that ends the login of the request's access token: POST, answered
// with 204. It reads the token itself, whatever chain is in front of it. After a 503 the user is
// not logged out.
func (s *Scheme) Logout() http.Handler {
	return s.endpoints.NoContent(http.MethodPost, func(_ http.ResponseWriter, r *http.Request) error {
		id, err := authn.AuthenticateOwn(s, r)
		if err != nil {
			return err
		}
		a := id.Credential.(*Access)
		if err := s.end(r, a); err != nil {
			return s.notLoggedOut(r.Context(), err)
		}
		s.notify(audit.Context(r), audit.Logout, storage.Family{ID: a.Family, Subject: a.Subject, Epoch: a.Version})
		return nil
	})
}

// end revokes an access token's family. A sliding token's family has no row, and one that was
// pruned has none any more: it is blocked until the token expires.
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

// notLoggedOut is the answer to a fault, which names its consequence for the user. It logs the
// fault.
func (s *Scheme) notLoggedOut(ctx context.Context, err error) error {
	var refused *authn.Error
	if err == nil || errors.As(err, &refused) || errors.Is(err, authn.ErrNoCredentials) {
		return err
	}
	cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelError, "logout failed", slog.String("scheme", s.Name()), slog.Any("error", err))
	return &authn.Error{
		Status: http.StatusServiceUnavailable, Code: "not_logged_out", RetryAfter: 5 * time.Second,
		Detail: "Service temporarily unavailable: you are not logged out, try again later.",
	}
}

// JWKS returns the endpoint that publishes the public keys (RFC 7517), for
// /.well-known/jwks.json. Clients may cache the answer for five minutes.
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
