package openid_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// The userinfo endpoint has a chain of its own, under the limits of the middleware that it is mounted
// under.
func TestUserinfoRefusals_attack_602(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, nil)
	refusals, err := throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 3, Window: time.Hour}, Stop: throttle.Rate{Limit: 5, Window: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	h := authn.New(authn.Chain{}, &authn.Options{Refusals: refusals, Logger: slog.New(slog.DiscardHandler)}).Public(p.UserInfo())
	ask := func(token string) int {
		r := httptest.NewRequest("GET", oauthtest.Issuer+"/oauth2/userinfo", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	got, _ := p.Login("s1")
	for i := range 10 {
		want := http.StatusUnauthorized
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		if code := ask("vat_x"); code != want {
			t.Errorf("junk %d: %d, want %d", i, code, want)
		}
	}
	refusals, err = throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 3, Window: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	h = authn.New(authn.Chain{}, &authn.Options{Refusals: refusals, Logger: slog.New(slog.DiscardHandler)}).Public(p.UserInfo())
	for range 10 {
		if code := ask(got.Access); code != 200 {
			t.Errorf("a good token: %d", code)
		}
		ask("vat_x")
	}
}
