package introspect_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/introspect"
)

// Behind a middleware the identity of a token is kept as long as the answer of the issuer, and
// Forget ends it at once.
func TestIntrospectorKept(t *testing.T) {
	a := newAbroad(t, nil)
	table, err := authn.NewTable(&authn.TableOptions{Clock: a.clock})
	if err != nil {
		t.Fatal(err)
	}
	front := func(i *introspect.Scheme) func(token string) string {
		m := authn.New(i, &authn.Options{Table: table})
		return func(token string) string {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			ctx, err := m.Authenticate(r)
			id := authn.FromContext(ctx)
			if err != nil || !id.Authenticated() {
				return "refused"
			}
			return id.Subject
		}
	}
	here := front(a.Scheme)
	there := front(a.another(t, "https://files.example", nil))
	is := func(what string, n int64, want string) {
		t.Helper()
		a.asks(t, n, what, func() {
			for range 3 {
				if got := here("good"); got != want {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
				if got := there("good"); got != "refused" {
					t.Errorf("%s: another API accepts it: %q", what, got)
				}
			}
		})
	}
	subject := here("good")
	if subject == "refused" {
		t.Fatal(subject)
	}
	_ = there("good")
	is("kept", 0, subject)
	a.set("good", `{"active":false}`)
	is("kept", 0, subject)
	a.Forget("good")
	a.asks(t, 1, "forgotten", func() {
		if got := here("good"); got != "refused" {
			t.Error("accepted after Forget")
		}
	})
	a.set("good", live)
	a.pass(time.Minute)
	if got := here("good"); got != subject {
		t.Error(got)
	}
	_ = there("good")
	is("kept again", 0, subject)
	a.pass(time.Minute)
	a.set("good", strings.Replace(live, `"active":true`, `"active":false`, 1))
	a.asks(t, 1, "a minute old", func() {
		if got := here("good"); got != "refused" {
			t.Error("accepted beyond the answer's time")
		}
	})
}
