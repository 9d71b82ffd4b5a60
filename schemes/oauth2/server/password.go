package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// byPassword issues tokens for a user's name and password (RFC 6749, section 4.3). It uses the
// epoch that was read before the password was verified, so that a concurrent change of the account
// invalidates the grant.
func (s *Server) byPassword(ctx context.Context, x exchange) (tokenResponse, error) {
	name, password := x.form.Get("username"), x.form.Get("password")
	if name == "" || password == "" {
		return tokenResponse{}, oauth2.NewError("invalid_request", "The username or the password is missing.")
	}
	scopes, resource, err := s.requested(x.form, x.client)
	if err != nil {
		return tokenResponse{}, err
	}
	login, err := audit.Call("server.Options.InsecurePasswordGrant", func() (authn.Login, error) {
		return s.opts.InsecurePasswordGrant.CheckPassword(x.request, name, password)
	})
	var refused *authn.Error
	if errors.As(err, &refused) && refused.Status < http.StatusInternalServerError {
		e := audit.Event{Kind: audit.LoginFailed, Reason: refused.Code, Client: x.client.ID}
		if refused.Status == http.StatusTooManyRequests {
			e.Kind = audit.LoginThrottled
		}
		s.Notify(ctx, e.ForName(name))
	}
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests:
		return tokenResponse{}, err
	case errors.As(err, &refused):
		return tokenResponse{}, errGrant.WithCause(err)
	case err != nil:
		return tokenResponse{}, err
	}
	if err := s.verifyProof(ctx, x.proof); err != nil {
		return tokenResponse{}, err
	}
	a, err := s.begin(ctx, x, newGrant{family: storage.Family{Subject: login.Subject, Scopes: scopes, Resource: resource, Epoch: login.Epoch, ACR: login.ACR, AMR: login.AMR}, resource: resource})
	switch {
	case errors.Is(err, storage.ErrStale):
		return tokenResponse{}, errGrant.WithCause(err)
	case err == nil:
		s.Notify(ctx, audit.Event{Kind: audit.LoginSucceeded, Client: x.client.ID, Subject: login.Subject, Epoch: login.Epoch})
	}
	return a, err
}
