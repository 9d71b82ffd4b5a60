package throttle_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// A page of another site does not use up the limits of its visitors, and gets no higher limits.
func TestRequestsCausedByAnotherSite_attack_502(t *testing.T) {
	for name, credential := range map[string]string{"anonymous": "", "a user, by Basic of the browser": "Basic eDpQdw=="} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			limit, err := throttle.User(throttle.NewMemory(nil), throttle.Rate{Limit: 5, Window: time.Minute}, &throttle.Options{Clock: c.now})
			must(t, err)
			h := authn.New(authn.Func(anyName), &authn.Options{Logger: quiet}).Handler(limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			count := func(headers ...string) (n int) {
				for range 20 {
					r, w := from("192.0.2.1:1"), httptest.NewRecorder()
					if credential != "" {
						r.Header.Set("Authorization", credential)
					}
					for i := 0; i < len(headers); i += 2 {
						r.Header.Set(headers[i], headers[i+1])
					}
					if h.ServeHTTP(w, r); w.Code == 200 {
						n++
					}
				}
				return n
			}
			if n := count("Sec-Fetch-Site", "cross-site"); n != 5 {
				t.Errorf("images of another site: %d", n)
			}
			if n := count("Origin", "null"); n != 0 {
				t.Errorf("a sandboxed frame without Sec-Fetch-Site: %d more", n)
			}
			if n := count("Sec-Fetch-Site", "same-origin"); n != 5 {
				t.Errorf("the visitor: %d, want 5", n)
			}
		})
	}
}

// Guesses that a page of another site makes the owner's browser send (https://name:guess@host) leave
// the owner, who is known at the address, its tries.
func TestGuessesOfAnotherSite_attack_504(t *testing.T) {
	c := newClock()
	l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Clock: c.now, Logger: quiet})
	must(t, err)
	const home = "192.0.2.1:1"
	reserve(t, l, from(home), "alice").Succeeded(t.Context())
	for range 500 {
		r := from(home)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Authorization", "Basic YWxpY2U6eA==")
		if a, err := l.Reserve(r, "alice"); err == nil {
			if a := a.(authn.AccountAttempt); a.Known() {
				t.Fatal("counted as the owner")
			} else {
				_ = a.Account(t.Context(), "id of alice", 0)
			}
		}
		c.add(time.Second)
	}
	if a, err := l.Reserve(from(home), "alice"); err != nil || !a.(authn.AccountAttempt).Known() {
		t.Errorf("the owner: %v", err)
	}
}
