package oauthtest

import (
	"errors"
	"log/slog"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
)

// Status is the answer to an access token: 200, or that of the refusal.
func (w *World) Status(token string) int {
	_, err := w.Identity(token)
	var e *authn.Error
	switch {
	case err == nil:
		return 200
	case errors.As(err, &e):
		return e.Status
	}
	return 503
}

func (w *World) Identity(token string) (authn.Identity, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	ctx, err := w.through().Authenticate(r)
	id := authn.FromContext(ctx)
	if err == nil && !id.Authenticated() {
		err = authn.ErrNoCredentials
	}
	return id, err
}

// through is a middleware in front of the server, which keeps identities.
func (w *World) through() *authn.Middleware {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.front == nil {
		w.front = authn.New(authn.Chain{w.Scheme()}, &authn.Options{Logger: slog.New(slog.NewTextHandler(&locked{w: w}, nil))})
	}
	return w.front
}
