package jwt_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// Invalid tokens in the bodies of the endpoints count as rejected credentials, and are not looked
// up above their limit. Tokens that were accepted from the address are still accepted, and so are
// tokens that they were exchanged for.
func TestTokensInBodies_attack_501(t *testing.T) {
	for name, sliding := range map[string]bool{"pairs": false, "sliding": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jwt.Options{Sliding: sliding})
			limit, err := throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}, Clock: w.clock.Now})
			schemetest.Must(t, err)
			m := authn.New(w, &authn.Options{Refusals: limit, Logger: schemetest.Quiet})
			send := func(h http.Handler, field, token string) (map[string]string, int) {
				r, rec := httptest.NewRequest("POST", "/", strings.NewReader(`{"`+field+`":"`+token+`"}`)), httptest.NewRecorder()
				r.Header.Set("Content-Type", "application/json")
				m.Public(h).ServeHTTP(rec, r)
				if rec.Code != 200 {
					return nil, rec.Code
				}
				return fields(t, rec), 200
			}
			junk := func(h http.Handler, field string, n int) map[int]int {
				got := map[int]int{}
				for range n {
					text := newWorld(t, jwt.Options{}).issue(t).Refresh // in the right format
					if sliding {
						text = strings.Repeat("x", 9)
					}
					_, code := send(h, field, text)
					got[code]++
				}
				return got
			}
			if sliding {
				epoch, err := w.store.SubjectEpoch(t.Context(), "id-alice")
				schemetest.Must(t, err)
				token, err := w.IssueSliding(t.Context(), "id-alice", epoch, nil)
				schemetest.Must(t, err)
				if got := junk(w.RefreshSliding(), "token", 40); got[401] != 2 || got[429] != 38 {
					t.Errorf("refresh: %v, want 2 answers of 401", got)
				}
				w.clock.Pass(2 * time.Second)
				next, code := send(w.RefreshSliding(), "token", token)
				if code != 200 {
					t.Fatal(code)
				}
				junk(w.Verify(), "token", 40)
				if _, code := send(w.RefreshSliding(), "token", next["token"]); code != 200 {
					t.Errorf("the next token: %d", code)
				}
				return
			}
			pair, other, third := w.issue(t), w.issue(t), w.issue(t)
			if got := junk(w.Verify(), "token", 10); got[401] != 2 || got[429] != 8 {
				t.Errorf("verify: %v, want 2 answers of 401", got)
			}
			for _, h := range []http.Handler{w.RefreshPair(), w.Blocklist()} {
				if got := junk(h, "refresh", 10); got[429] != 10 {
					t.Errorf("%v, want 429", got)
				}
			}
			w.clock.Pass(2 * time.Second)
			if _, code := send(w.Verify(), "token", other.Access); code != 200 {
				t.Fatal(code)
			}
			next, code := send(w.RefreshPair(), "refresh", pair.Refresh)
			if code != 200 {
				t.Fatal(code)
			}
			junk(w.Blocklist(), "refresh", 40)
			if _, code := send(w.Verify(), "token", third.Access); code != 429 {
				t.Errorf("an unseen token of an address that is stopped: %d", code)
			}
			if _, code := send(w.Verify(), "token", other.Access); code != 200 {
				t.Errorf("a known token: %d", code)
			}
			if _, err := m.Authenticate(from(bearer(next["access"]))); err != nil {
				t.Errorf("the access token of the exchange, in Authorization: %v", err)
			}
			if _, code := send(w.RefreshPair(), "refresh", next["refresh"]); code != 200 {
				t.Errorf("the refresh token of the exchange: %d", code)
			}
		})
	}
}

// from is a request of the address of httptest.NewRequest.
func from(r *http.Request) *http.Request {
	r.RemoteAddr = "192.0.2.1:1234"
	return r
}
