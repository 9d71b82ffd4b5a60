package oauth2_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A page of another site cannot use up the limits of a visitor's address: what it makes the
// browser send is refused before it is counted.
func TestForeignForms(t *testing.T) {
	for _, origins := range [][]string{nil, {"https://spa.example"}} {
		t.Run(fmt.Sprint("attack_260_", origins), func(t *testing.T) {
			w := newDevices(t, memory.New(nil), func(o *oauth2.Options) { withLimits(o); o.Origins = origins })
			const visitor = "192.0.2.1:1"
			cross := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Origin", "https://evil.example"}
			for what, h := range map[string]http.Handler{
				"device": w.DeviceAuthorization(), "push": w.Push(), "register": w.Register(), "token": w.Token(), "revoke": w.Revoke(),
			} {
				for range 40 {
					if got := w.from(visitor, h, "client_id=tv", cross...); got.Status != 403 || got.Header.Get("Access-Control-Allow-Origin") != "" {
						t.Fatalf("%s: %d %s", what, got.Status, got.Body)
					}
				}
			}
			for what, headers := range map[string][]string{
				"a program": nil, "its own page": {"Sec-Fetch-Site", "same-origin", "Origin", issuer}, "the same site": {"Sec-Fetch-Site", "same-site", "Origin", "https://www.auth.example"},
				"the user": {"Sec-Fetch-Site", "none"},
			} {
				if got := w.from(visitor, w.DeviceAuthorization(), "client_id=tv", headers...); got.Status != 200 {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
			if origins != nil {
				if got := w.from(visitor, w.DeviceAuthorization(), "client_id=tv", "Sec-Fetch-Site", "cross-site", "Origin", "https://spa.example"); got.Status != 200 {
					t.Errorf("an allowed origin: %d %s", got.Status, got.Body)
				}
			}
			// With a header that needs a preflight request no page sends it without leave.
			if got := w.from(visitor, w.Revoke(), "token=x", append(cross, "Authorization", "Basic eDp5")...); got.Status != 401 {
				t.Errorf("with Authorization: %d %s", got.Status, got.Body)
			}
		})
	}
}
