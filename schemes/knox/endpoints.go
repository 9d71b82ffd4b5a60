package knox

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/storage"
)

// nameField is the field for the name of a device.
var nameField = login.Field{Name: "name", Trim: true, Optional: true, MaxBytes: storage.MaxIDBytes}

// Login returns the endpoint that exchanges a name and a password for a new token. It accepts a
// POST of "username", "password" and optionally "name" as JSON, form or multipart body. The
// response is {"token": "…", "expiry": "…"}; expiry is null if the token never expires.
//
// If the user has reached Options.Limit, the response is 403 with the code token_limit. See
// login.Handler, and Options.Login for other field names and more members. Login panics if pw is
// nil.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	return login.Must(login.New(pw, s.begin, &login.Config{
		Scheme: s.Name(), Options: s.opts.Login, Fields: []login.Field{nameField}, Endpoints: s.endpoints, Audit: s.opts.Audit, Logger: s.opts.Logger,
	}))
}

func (s *Scheme) begin(_ http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error) {
	text, t, err := s.Issue(audit.Context(r), l.Subject, l.Epoch, Token{Name: more[0]})
	if errors.Is(err, storage.ErrLimit) {
		err = limitReached().WithCause(err)
	}
	if err == nil {
		authn.Issued(r, authn.Identity{Subject: l.Subject}, text)
	}
	if err == nil && s.opts.Limit == 0 {
		s.surplus(audit.Context(r), t)
	}
	return []authn.Member{{Name: "token", Value: text}, {Name: "expiry", Value: login.TimeOrNull(t.Expires)}}, err
}

// limitReached returns the same 403 as django-rest-knox, with a code.
func limitReached() *authn.Error {
	return &authn.Error{Status: http.StatusForbidden, Code: "token_limit", Detail: "Maximum amount of tokens allowed per user exceeded.",
		Members: []authn.Member{{Name: "code", Value: "token_limit"}}}
}

// Logout returns the endpoint that revokes the token of the request. It accepts a POST and responds
// with 204. It reads the token itself, with or without a chain. If the token cannot be revoked, the
// response is 503.
func (s *Scheme) Logout() http.Handler {
	return s.logout(func(r *http.Request, id authn.Identity) error {
		err := s.revoke(audit.Context(r), id.Subject, id.Credential.(*storage.Credential).ID, audit.Logout)
		if errors.Is(err, storage.ErrNotFound) { // another request has revoked it
			err = nil
		}
		return err
	})
}

// LogoutAll returns the endpoint that revokes all tokens of the user to whom the token of the
// request belongs. It accepts a POST and responds with 204. A token limited to scopes is rejected
// with 403. It does not revoke credentials of other schemes; to revoke all, call BumpEpoch of the
// store. Otherwise it works like [Scheme.Logout].
func (s *Scheme) LogoutAll() http.Handler {
	return s.logout(func(r *http.Request, id authn.Identity) error {
		return s.logoutBut(r, id, "")
	})
}

// LogoutOthers is [Scheme.LogoutAll] but keeps the token of the request.
func (s *Scheme) LogoutOthers() http.Handler {
	return s.logout(func(r *http.Request, id authn.Identity) error {
		return s.logoutBut(r, id, id.Credential.(*storage.Credential).ID)
	})
}

func (s *Scheme) logoutBut(r *http.Request, id authn.Identity, keep string) error {
	if err := login.FirstParty(id); err != nil {
		return err
	}
	_, err := s.revokeAll(audit.Context(r), id.Subject, keep, audit.Logout)
	return err
}

// logout returns an endpoint that calls end with the identity of the request's token.
func (s *Scheme) logout(end func(*http.Request, authn.Identity) error) http.Handler {
	own := authn.Func(func(r *http.Request) (authn.Identity, error) {
		text, err := s.header.Read(r)
		if err != nil {
			return authn.Identity{}, err
		}
		id, _, _, err := s.identify(r.Context(), storage.DigestOf(text), s.opts.Clock())
		return id, err
	})
	return s.endpoints.NoContent(http.MethodPost, func(_ http.ResponseWriter, r *http.Request) error {
		id, err := authn.AuthenticateOwn(own, r)
		if err != nil {
			return err
		}
		return end(r, id)
	})
}
