package jwt

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// A sliding token is one token for both purposes, as in simplejwt. It is an access token until
// "exp", and can be exchanged for a new one until "refresh_exp". It is simpler for a client, but
// theft is not detected: a thief can refresh a stolen token too.

// LoginSliding returns the endpoint that issues a sliding token for a name and a password. It
// accepts a POST of {"username", "password"} and responds with {"token"}. Otherwise it is like
// [Scheme.Login]. It panics if pw is nil or Options.Sliding is not set.
func (s *Scheme) LoginSliding(pw authn.PasswordChecker) http.Handler {
	if !s.opts.Sliding {
		panic("jwt: LoginSliding: Options.Sliding must be set")
	}
	return s.loginEndpoint(pw, func(_ http.ResponseWriter, r *http.Request, l authn.Login, _ []string) ([]authn.Member, error) {
		token, err := s.IssueSliding(audit.Context(r), l.Subject, l.Epoch, nil)
		if err == nil {
			authn.Issued(r, authn.Identity{Subject: l.Subject}, token)
		}
		return []authn.Member{{Name: "token", Value: token}}, err
	})
}

type tokenBody struct {
	Token string `json:"token"`
}

// IssueSliding creates a login of subject with a sliding token. Arguments and errors are the same
// as for [Scheme.Issue].
func (s *Scheme) IssueSliding(ctx context.Context, subject string, epoch int64, g *Grant) (string, error) {
	f, u, err := s.newFamily(ctx, subject, epoch, g)
	if err != nil {
		return "", err
	}
	now, token := f.Created, ""
	// The store keeps no record of a sliding token, but a required event.
	err = s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) (err error) {
		if token, err = s.slide(ctx, f, u, now, now.Add(s.opts.RefreshTTL)); err == nil {
			s.notify(ctx, audit.TokenCreated, f)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// slide creates a sliding token, which expires at until at the latest.
func (s *Scheme) slide(ctx context.Context, f storage.Family, u storage.User, now, until time.Time) (string, error) {
	expires := now.Add(s.opts.AccessTTL)
	if expires.After(until) {
		expires = until
	}
	return s.sign(ctx, TypeSliding, f, u, now, expires, &until)
}

// RefreshSliding returns the endpoint that exchanges a sliding token for a new one. It accepts a
// POST of {"token"} and responds with {"token"}. It panics if Options.Sliding is not set.
func (s *Scheme) RefreshSliding() http.Handler {
	if !s.opts.Sliding {
		panic("jwt: RefreshSliding: Options.Sliding must be set")
	}
	checks := s.checks
	checks.IgnoreExpiry = true // "refresh_exp" is checked instead
	return s.endpoints.JSON(http.MethodPost, func(w http.ResponseWriter, r *http.Request) (any, error) {
		text, own, err := read(w, r, tokenField)
		if err != nil {
			return nil, err
		}
		token, subject, err := s.slideOn(audit.Context(r), text, checks)
		if err == nil {
			own.Accepted(authn.Identity{Subject: subject}, token)
		}
		return tokenBody{token}, err
	})
}

func (s *Scheme) slideOn(ctx context.Context, text string, checks jose.Checks) (token, subject string, err error) {
	if !shaped(text) {
		return "", "", s.invalid.WithCause(errNoRefresh)
	}
	t, err := jose.Verify(ctx, text, s.keys, TypeSliding)
	if err != nil {
		return "", "", s.refuse(err)
	}
	a, err := s.read(t, checks)
	if err != nil {
		return "", "", s.refuse(err)
	}
	now := s.opts.Clock().UTC()
	if a.RefreshUntil.IsZero() || !now.Before(a.RefreshUntil) {
		return "", "", s.invalid.WithCause(jose.ErrExpired)
	}
	u, st, err := s.store.TokenStatusWithUser(ctx, a.Subject, a.keys)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", "", s.invalid.WithCause(err)
	case err != nil:
		return "", "", err
	case !u.Active:
		return "", "", s.invalid.WithCause(credential.ErrDisabled)
	}
	if err := s.stands(a, st); err != nil {
		return "", "", err
	}
	if err := s.rule(ctx, u); err != nil {
		return "", "", err
	}
	f := storage.Family{ID: a.Family, Subject: a.Subject, Scopes: a.Scopes, Epoch: a.Version, AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR}
	if token, err = s.slide(ctx, f, u, now, a.RefreshUntil); err != nil {
		return "", "", err
	}
	// Not stored: anyone could fill the table of events by renewing one sliding token.
	s.notify(ctx, audit.RefreshSucceeded, f)
	return token, a.Subject, nil
}
