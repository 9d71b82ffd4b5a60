package token

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/storage"
)

// Login returns the endpoint that exchanges a name and a password for the user's token. It accepts
// a POST of "username" and "password" as JSON, form or multipart body. The response is {"token":
// "…"}. See login.Handler, and Options.Login for other field names and more members. It panics if
// pw is nil.
func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
	return login.Must(login.New(pw, func(_ http.ResponseWriter, r *http.Request, l authn.Login, _ []string) ([]authn.Member, error) {
		text, err := s.GetOrCreate(audit.Context(r), l.Subject, l.Epoch)
		if err == nil {
			authn.Issued(r, authn.Identity{Subject: l.Subject}, text)
		}
		return []authn.Member{{Name: "token", Value: text}}, err
	}, &login.Config{Scheme: s.Name(), Options: s.opts.Login, Endpoints: s.endpoints, Audit: s.opts.Audit, Logger: s.opts.Logger}))
}

// Logout returns the endpoint that deletes the token of the request. It accepts a POST and responds
// with 204. It reads the token itself, with or without a chain. If the token cannot be deleted, the
// response is 503.
func (s *Scheme) Logout() http.Handler {
	return s.endpoints.NoContent(http.MethodPost, func(_ http.ResponseWriter, r *http.Request) error {
		id, err := authn.AuthenticateOwn(s, r)
		if err != nil {
			return err
		}
		t := id.Credential.(*storage.StaticToken)
		err = s.opts.Audit.Change(audit.Context(r), s.store, func(ctx context.Context) error {
			err := s.store.DeleteStaticToken(ctx, t.Digest)
			if err == nil {
				s.notify(ctx, audit.Logout, t.Subject, t.Digest, t.Epoch)
			}
			return err
		})
		if errors.Is(err, storage.ErrNotFound) { // another request has deleted it
			return nil
		}
		return err
	})
}
