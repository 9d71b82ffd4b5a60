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
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// The fields that the endpoints read.
var (
	refreshField = login.Field{Name: "refresh", Trim: true, MaxBytes: jose.MaxToken}
	tokenField   = login.Field{Name: "token", Trim: true, MaxBytes: jose.MaxToken}
	nameField    = login.Field{Name: "name", Trim: true, Optional: true, MaxBytes: storage.MaxIDBytes}
)

// Login returns the login endpoint, which issues a token pair for a name and a password. It accepts
// a POST of {"username", "password"} and optionally the device's "name", and responds with
// {"access", "refresh"}. See [login.Handler], and Options.Login for other field names and further
// members.
//
// Like all endpoints of the scheme it reads no other credentials. Route to it without
// authentication (authz.Mux.Public). Login panics if pw is nil.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	return s.loginEndpoint(pw, func(_ http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error) {
		pair, err := s.Issue(audit.Context(r), l.Subject, l.Epoch, &Grant{Name: more[0], ACR: l.ACR, AMR: l.AMR})
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

// RefreshPair returns the endpoint that exchanges a refresh token for a new token pair. It accepts
// a POST of {"refresh"} and responds with {"access", "refresh"}. A client that lost the response
// sends the same request again within Options.Grace.
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

// Verify returns the endpoint that reports whether an access or refresh token is valid now. It
// accepts a POST of {"token"} and responds with {} or 401.
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

// read returns the token of a body, and checks the limit of rejected credentials.
func read(w http.ResponseWriter, r *http.Request, field login.Field) (text string, own *authn.OwnCredential, err error) {
	v, err := login.Read(w, r, field)
	if err != nil {
		return "", nil, err
	}
	own, err = authn.AdmitOwn(r, v[0])
	return v[0], own, err
}

// check returns the subject of a valid token.
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

// Blocklist returns the logout endpoint for clients that send their refresh token. It accepts a
// POST of {"refresh"} and responds with {}. All refresh and access tokens of the login are revoked.
// If the revocation could not be stored, the response is 503 and the user is not logged out. For a
// token that was already revoked, the response is 200 too.
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

// Logout returns the logout endpoint for clients that send their access token. It accepts a POST
// and responds with 204. It reads the token itself, with or without a chain. After a 503 the user
// is not logged out.
func (s *Scheme) Logout() http.Handler {
	return s.endpoints.NoContent(http.MethodPost, func(_ http.ResponseWriter, r *http.Request) error {
		id, err := authn.AuthenticateOwn(s, r)
		if err != nil {
			return err
		}
		a := id.Credential.(*Access)
		err = s.opts.Audit.Change(audit.Context(r), s.store, func(ctx context.Context) error {
			err := s.end(ctx, a)
			if err == nil {
				s.notify(ctx, audit.Logout, storage.Family{ID: a.Family, Subject: a.Subject, Epoch: a.Version})
			}
			return err
		})
		if err != nil {
			return s.notLoggedOut(r.Context(), err)
		}
		return nil
	})
}

// end revokes the family of an access token. The family of a sliding token is not stored, and a
// family may have been pruned; then the token is blocked until it expires.
func (s *Scheme) end(ctx context.Context, a *Access) error {
	until := a.Expires
	if a.RefreshUntil.After(until) {
		until = a.RefreshUntil
	}
	until = until.Add(2*s.opts.Leeway + time.Minute)
	if a.Type != TypeSliding && a.Family != "" {
		ends := s.rotator.BlockUntil()
		if ends.Before(until) { // the token is of a time with a longer AccessTTL
			ends = until
		}
		err := s.store.EndFamily(ctx, a.Family, ends)
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return s.store.Block(ctx, until, a.keys.JTI, a.keys.SID)
}

// notLoggedOut logs an error of the store and returns a response that tells the user the
// consequence.
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

// JWKS returns the endpoint that publishes the public keys (RFC 7517). Use it for
// /.well-known/jwks.json. Clients can cache the response for five minutes.
func (s *Scheme) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*") // the response is public
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
