package authn_test

import (
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// A scheme with a bug in its rejection neither closes the connection nor allows the request.
func TestBadRefusals(t *testing.T) {
	for status, want := range map[int]int{0: 500, 200: 500, 204: 500, 302: 500, 600: 500, 400: 400, 503: 503} {
		a := authn.Func(func(*http.Request) (authn.Identity, error) {
			return authn.Identity{}, &authn.Error{Status: status, Code: "x", Detail: "Refused."}
		})
		if got := ask(authn.New(a, &authn.Options{Logger: quiet}).Handler(closed), "GET", "/"); got.Code != want {
			t.Errorf("%d: %d, want %d", status, got.Code, want)
		}
	}
	if got := ask(authn.New(panicking{}, &authn.Options{Logger: quiet}).Handler(closed), "GET", "/"); got.Code != 403 {
		t.Errorf("a challenge that panics: %d", got.Code)
	}
}

// Further headers of a rejection are in the response.
func TestErrorHeader(t *testing.T) {
	a := authn.Func(func(*http.Request) (authn.Identity, error) {
		e := authn.AuthenticationFailed("No.").WithChallenge("X")
		e.Header = http.Header{"X-Nonce": {"a", "b"}}
		return authn.Identity{}, e
	})
	got := ask(authn.New(a, &authn.Options{Logger: quiet}).Handler(closed), "GET", "/")
	if got.Code != 401 || len(got.Header()["X-Nonce"]) != 2 || got.Header().Get("WWW-Authenticate") != "X" {
		t.Errorf("%d %v", got.Code, got.Header())
	}
}

type panicking struct{}

func (panicking) Authenticate(*http.Request) (authn.Identity, error) {
	return authn.Identity{}, authn.AuthenticationFailed("No.")
}
func (panicking) Challenge(*http.Request, error) string { panic("x") }
