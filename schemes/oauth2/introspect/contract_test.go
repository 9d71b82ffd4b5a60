package introspect_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/authntest"
)

func TestContract(t *testing.T) {
	authntest.Run(t, func(t *testing.T) authntest.World {
		a := newAbroad(t, nil)
		a.set("carols-token", strings.ReplaceAll(live, "bob", "carol"))
		a.set("no-scopes", strings.ReplaceAll(live, "read write", ""))
		return authntest.World{
			Scheme: a, Good: bearer("good"), Other: bearer("carols-token"), Scoped: bearer("good"), Scopeless: bearer("no-scopes"), Unknown: bearer("never-issued"),
			Bad:    map[string]func(*http.Request){"a JWT": bearer("eyJhbGciOiJub25lIn0.e30.")},
			Expire: func() { a.pass(time.Duration(1770178000-1770091506) * time.Second) },
			Revoke: func() {
				a.set("good", `{"active":false}`)
				a.Forget("good")
			},
			Fail: func() {
				a.answers(func(w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(http.StatusBadGateway)
					return true
				})
			},
		}
	})
}
