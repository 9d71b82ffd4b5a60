package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A page of another site cannot use up the limits of a visitor's address: what it makes the
// browser send is refused before it is counted.
func TestForeignForms(t *testing.T) {
	for _, origins := range [][]string{nil, {"https://spa.example"}} {
		t.Run(fmt.Sprint("attack_260_", origins), func(t *testing.T) {
			w := oauthtest.NewDevices(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithLimits(o); o.Origins = origins })
			const visitor = "192.0.2.1:1"
			cross := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Origin", "https://evil.example"}
			for what, h := range map[string]http.Handler{
				"device": w.DeviceAuthorization(), "push": w.PushedAuthorization(), "register": w.Register(), "token": w.Token(), "revoke": w.Revoke(), "introspect": w.Introspect(),
			} {
				for range 40 {
					if got := w.From(visitor, h, "client_id=tv", cross...); got.Status != 403 || got.Header.Get("Access-Control-Allow-Origin") != "" {
						t.Fatalf("%s: %d %s", what, got.Status, got.Body)
					}
				}
			}
			for what, headers := range map[string][]string{
				"a program": nil, "its own page": {"Sec-Fetch-Site", "same-origin", "Origin", oauthtest.Issuer}, "the same site": {"Sec-Fetch-Site", "same-site", "Origin", "https://www.auth.example"},
				"the user": {"Sec-Fetch-Site", "none"},
			} {
				if got := w.From(visitor, w.DeviceAuthorization(), "client_id=tv", headers...); got.Status != 200 {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
			if origins != nil {
				if got := w.From(visitor, w.DeviceAuthorization(), "client_id=tv", "Sec-Fetch-Site", "cross-site", "Origin", "https://spa.example"); got.Status != 200 {
					t.Errorf("an allowed origin: %d %s", got.Status, got.Body)
				}
			}
			// With a header that needs a preflight request no page sends it without leave. A browser
			// sends Basic by itself.
			for _, c := range []struct {
				header, value string
				want          int
			}{{"Authorization", "Bearer x", 401}, {"Dpop", "x", 401}, {"Authorization", "Basic eDp5", 403}} {
				if got := w.From(visitor, w.Revoke(), "token=x", append(cross, c.header, c.value)...); got.Status != c.want {
					t.Errorf("with %s %s: %d %s", c.header, c.value, got.Status, got.Body)
				}
			}
		})
	}
}
