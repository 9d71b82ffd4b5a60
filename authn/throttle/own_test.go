package throttle_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// Invalid credentials at an endpoint that reads its own credentials, such as a logout, are limited
// too. Credentials that were accepted from that address are still accepted.
func TestStopAtAnEndpoint_attack_352(t *testing.T) {
	c, k := newClock(), new(keyed)
	l, err := throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 10, Window: time.Minute}, Clock: c.now})
	must(t, err)
	logout := authn.New(authn.Chain{k}, &authn.Options{Refusals: l, Logger: quiet}).Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := authn.AuthenticateOwn(k, r); err != nil {
			authn.Respond(w, r, err)
		}
	}))
	ask := func(credential string) int {
		r := from("198.51.100.1:9")
		r.Header.Set("Authorization", "Key "+credential)
		w := httptest.NewRecorder()
		logout.ServeHTTP(w, r)
		return w.Code
	}
	got := map[int]int{}
	for i := range 80 {
		got[ask(fmt.Sprint("bad", i))]++
	}
	if got := ask("good"); got != 200 {
		t.Errorf("a credential of an address over its limit: %d", got)
	}
	for i := range 2000 {
		got[ask(fmt.Sprint("bad", i))]++
	}
	if k.asked > 150 || got[401] != 10 || got[429] != 2070 {
		t.Errorf("%d look-ups, answers %v", k.asked, got)
	}
	if got := ask("good"); got != 200 {
		t.Errorf("the credential that was accepted: %d", got)
	}
}
