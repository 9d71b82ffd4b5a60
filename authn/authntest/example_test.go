package authntest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
)

func whoami(_ http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	fmt.Printf("subject %q by %q\n", id.Subject, id.Scheme)
}

// Test a handler without a middleware.
func ExampleAs() {
	r := httptest.NewRequest("GET", "/", nil)
	whoami(httptest.NewRecorder(), authntest.As(r, authn.Identity{Subject: "42", Scheme: "session"}))
	// Output: subject "42" by "session"
}

// Test a handler behind its middleware. In your test, pass the chain of your application.
func ExampleForced() {
	chain := authn.Chain{authn.Func(func(*http.Request) (authn.Identity, error) {
		return authn.Identity{}, authn.ErrNoCredentials
	})}
	h := authn.New(authntest.Forced(chain), nil).Handler(http.HandlerFunc(whoami))
	r := httptest.NewRequest("GET", "/", nil)
	h.ServeHTTP(httptest.NewRecorder(), authntest.As(r, authn.Identity{Subject: "42", Scheme: "session"}))
	h.ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// subject "42" by "session"
	// subject "" by ""
}
