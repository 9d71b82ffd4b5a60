package remoteuser_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/remoteuser"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestContract(t *testing.T) {
	nets, err := authn.NewTrustedProxies("10.0.0.0/8")
	schemetest.Must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: nets})
	schemetest.Must(t, err)
	from := func(names ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr = proxy
			r.Header[header] = names
		}
	}
	authntest.Run(t, func(t *testing.T) authntest.World {
		a := storetest.NewAccounts(t, time.Unix(1_800_000_000, 0))
		schemetest.Must(t, a.CreateUser(t.Context(), storage.User{ID: "id-carol", Name: "carol"}))
		x, err := remoteuser.New(header, nets, a.Store, site, &remoteuser.Options{Audit: audit.To(func(_ context.Context, e audit.Event) { a.Print(e) })})
		schemetest.Must(t, err)
		return authntest.World{
			Scheme: x, Good: from("alice"), Other: from("bob"), Unknown: from("eve"),
			Bad:     map[string]func(*http.Request){"disabled": from("carol"), "several": from("alice", "carol"), "no name": from("a,b")},
			Disable: a.Disable, Fail: a.Base.Fail, Written: a.Written,
			Secrets: []string{}, // a name is none
		}
	})
}
