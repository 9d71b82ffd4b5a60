package jwt

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/loginform"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// A sliding token is one token for both purposes, as in simplejwt: it is an access
// token until "exp", and can be exchanged for a fresh one until "refresh_exp". It is
// simpler for a client and worse against theft: a stolen one can be refreshed by the
// thief, and nobody notices.

// LoginSliding returns the endpoint that exchanges a name and a password for a
// sliding token: POST of {"username", "password"}, answered with {"token"}. It panics
// without Options.Sliding.
func (s *Scheme) LoginSliding(pw authn.PasswordChecker) http.Handler {
	if pw == nil || !s.opts.Sliding {
		panic("jwt: LoginSliding without a password checker or Options.Sliding")
	}
	return s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
		login, _, err := s.login(w, r, pw)
		if err != nil {
			return nil, err
		}
		token, err := s.IssueSliding(r.Context(), login.Subject, login.Epoch, nil)
		if err != nil {
			return nil, loginError(err)
		}
		for _, c := range login.Cookies {
			http.SetCookie(w, c)
		}
		return tokenBody{token}, nil
	})
}

type tokenBody struct {
	Token string `json:"token"`
}

// IssueSliding begins a login of the subject with a sliding token. Arguments and
// errors are those of Issue.
func (s *Scheme) IssueSliding(ctx context.Context, subject string, epoch int64, g *Grant) (string, error) {
	if g == nil {
		g = &Grant{}
	}
	u, st, err := s.store.UserStanding(ctx, subject, storage.BlockKeys{})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", storage.ErrStale
	case err != nil:
		return "", err
	case !u.Active || st.Epoch != epoch:
		return "", storage.ErrStale
	}
	if err := s.rule(ctx, u); err != nil {
		return "", err
	}
	id, err := s.random()
	if err != nil {
		return "", err
	}
	now := s.opts.Clock().UTC()
	f := storage.Family{ID: id, Purpose: s.purpose, Subject: subject, Scopes: g.Scopes, Epoch: epoch, AuthTime: g.AuthTime}
	if f.AuthTime.IsZero() {
		f.AuthTime = now
	}
	if err := f.Check(); err != nil {
		return "", err
	}
	token, err := s.slide(ctx, f, u, now, now.Add(s.opts.RefreshTTL))
	if err == nil {
		s.tell(ctx, Event{LoggedIn, subject, id})
	}
	return token, err
}

// slide makes a sliding token, which does not outlive its own refreshing.
func (s *Scheme) slide(ctx context.Context, f storage.Family, u storage.User, now, until time.Time) (string, error) {
	expires := now.Add(s.opts.AccessTTL)
	if expires.After(until) {
		expires = until
	}
	return s.sign(ctx, TypeSliding, f, u, now, expires, &until)
}

// RefreshSliding returns the endpoint that exchanges a sliding token for a fresh one:
// POST of {"token"}, answered with {"token"}. It panics without Options.Sliding.
func (s *Scheme) RefreshSliding() http.Handler {
	if !s.opts.Sliding {
		panic("jwt: RefreshSliding without Options.Sliding")
	}
	checks := s.checks
	checks.IgnoreExpiry = true // "refresh_exp" counts
	return s.endpoint(func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := loginform.Read(w, r, tokenField)
		if err != nil {
			return nil, err
		}
		token, err := s.slideOn(r.Context(), v[0], checks)
		if err != nil {
			return nil, err
		}
		return tokenBody{token}, nil
	})
}

func (s *Scheme) slideOn(ctx context.Context, text string, checks jose.Checks) (string, error) {
	if !shaped(text) {
		return "", s.invalid.With(errNoRefresh)
	}
	t, err := jose.Verify(ctx, text, s.keys, TypeSliding)
	if err != nil {
		return "", s.refuse(err)
	}
	reg, err := checks.Check(t.Claims)
	if err != nil {
		return "", s.refuse(err)
	}
	a, err := s.read(t, reg)
	if err != nil {
		return "", s.refuse(err)
	}
	now := s.opts.Clock().UTC()
	if a.RefreshUntil.IsZero() || !now.Before(a.RefreshUntil) {
		return "", s.invalid.With(jose.ErrExpired)
	}
	u, st, err := s.store.UserStanding(ctx, a.Subject, a.keys)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", s.invalid.With(err)
	case err != nil:
		return "", err
	case !u.Active:
		return "", s.invalid.With(errDisabled)
	}
	if err := s.stands(a, st); err != nil {
		return "", err
	}
	if err := s.rule(ctx, u); err != nil {
		return "", err
	}
	f := storage.Family{ID: a.Family, Subject: a.Subject, Scopes: a.Scopes, Epoch: a.Version, AuthTime: a.AuthTime}
	token, err := s.slide(ctx, f, u, now, a.RefreshUntil)
	if err == nil {
		s.tell(ctx, Event{Refreshed, a.Subject, a.Family})
	}
	return token, err
}
