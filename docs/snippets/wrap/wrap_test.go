package wrap

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// header authenticates the subject that X-Subject names.
type header struct{}

func (header) Headers() []string { return []string{"X-Subject"} }

func (header) Challenge(*http.Request, error) string { return `Subject realm="test"` }

func (header) Authenticate(r *http.Request) (authn.Identity, error) {
	subject := r.Header.Get("X-Subject")
	switch subject {
	case "":
		return authn.Identity{}, authn.ErrNoCredentials
	case "unknown":
		return authn.Identity{}, authn.AuthenticationFailed("Invalid subject.")
	}
	return authn.Identity{Subject: subject}, nil
}

func TestBlocked(t *testing.T) {
	chain := authn.Chain{&Blocked{scheme: header{}, blocked: map[string]bool{"mallory": true}}}
	for subject, want := range map[string]int{"": 0, "alice": 0, "unknown": 401, "mallory": 403} {
		r := httptest.NewRequest("GET", "https://app.example/", nil)
		if subject != "" {
			r.Header.Set("X-Subject", subject)
		}
		id, err := chain.Authenticate(r)
		var e *authn.Error
		switch {
		case want != 0 && (!errors.As(err, &e) || e.Status != want || id.Authenticated()):
			t.Errorf("%q: %v, %v", subject, id.Subject, err)
		case want == 0 && id.Subject != subject:
			t.Errorf("%q: %v, %v", subject, id.Subject, err)
		}
	}
	// Unwrap shows the challenge to the chain.
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	r.Header.Set("X-Subject", "unknown")
	authn.New(chain, nil).Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != 401 || w.Header().Get("WWW-Authenticate") != `Subject realm="test"` {
		t.Errorf("%d %q", w.Code, w.Header())
	}
}
