package cookie_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/cookie"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
)

// The scheme passes the conformance tests for authenticators.
func TestContract(t *testing.T) {
	authntest.Run(t, func(t *testing.T) authntest.World {
		a := storetest.NewAccounts(t, time.Unix(1_800_000_000, 0))
		devices, err := knox.New(a.Store, &knox.Options{Clock: a.Clock, TTL: 2 * time.Minute})
		must(t, err)
		x, err := cookie.New("access", newSite(t), devices, nil)
		must(t, err)
		sends := func(text string) func(*http.Request) {
			return func(r *http.Request) {
				r.Host, r.TLS = "app.example", new(tls.ConnectionState)
				r.Header.Set("Cookie", "__Host-access="+text)
			}
		}
		issue := func(subject string, scopes []string) (func(*http.Request), string) {
			text, rec, err := devices.Issue(t.Context(), subject, 0, knox.Token{Scopes: scopes})
			must(t, err)
			return sends(text), rec.ID
		}
		good, id := issue("id-alice", nil)
		other, _ := issue("id-bob", nil)
		scoped, _ := issue("id-alice", []string{"read"})
		scopeless, _ := issue("id-alice", []string{})
		return authntest.World{
			Scheme: x, Good: good, Other: other, Scoped: scoped, Scopeless: scopeless, Unknown: sends(credential.MustFormat("vkn").Encode([credential.Size]byte{1})),
			Bad:    map[string]func(*http.Request){"malformed": sends("vkn_x"), "junk": sends("junk"), "empty": sends("")},
			Expire: func() { a.Pass(2 * time.Minute) }, Revoke: func() { must(t, devices.Revoke(context.Background(), "id-alice", id)) },
			Disable: a.Disable, LogoutEverywhere: a.LogoutEverywhere, Fail: a.Base.Fail,
		}
	})
}
