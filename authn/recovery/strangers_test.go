package recovery_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// limited configures the world with default limits and device cookies. It returns functions that
// log alice in from an address, and request a link from one.
func (w *world) limited() (login func(addr string) []*http.Cookie, request func(addr, address string, cookies ...*http.Cookie) int) {
	clock := func() time.Time { return time.Unix(w.now.Load(), 0) }
	l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Clock: clock, DeviceKey: []byte("0123456789abcdef0123456789abcdef")})
	must(w.t, err)
	w.passwords, err = password.New(w.s, w.hasher, &password.Options{FailureFloor: time.Nanosecond, Limiter: l, Clock: clock})
	must(w.t, err)
	w.Recovery = w.recovery(&recovery.Options{})
	from := func(addr, body string, cookies []*http.Cookie) *http.Request {
		r := httptest.NewRequest("POST", "https://app.example/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		r.RemoteAddr = addr
		return r
	}
	login = func(addr string) []*http.Cookie {
		got, err := w.passwords.CheckPassword(from(addr, "", nil), "alice", "wonderland-1")
		must(w.t, err)
		return got.Cookies
	}
	request = func(addr, address string, cookies ...*http.Cookie) int {
		rec := httptest.NewRecorder()
		w.Request().ServeHTTP(rec, from(addr, fmt.Sprintf(`{"address":%q}`, address), cookies))
		w.Drain(w.t.Context())
		return rec.Code
	}
	return login, request
}

// Strangers who request links for an account do not prevent its owner from requesting one.
func TestKnownCallers(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	login, request := w.limited()
	const home = "198.51.100.7:1"
	cookies := login(home)
	flood := func(i int) { request(fmt.Sprintf("[2001:db8:%x::1]:1", i%256), "alice") }
	t.Run("attack_293", func(t *testing.T) {
		for i := range 3600 / 10 {
			flood(i)
		}
		got := map[string]int{}
		for i := range 108 {
			flood(i)
			if i%5 == 0 {
				if request(home, "alice") == 200 {
					got["home"]++
				}
				if request(fmt.Sprintf("203.0.%d.1:1", i), "alice", cookies...) == 200 {
					got["device"]++
				}
				if request(fmt.Sprintf("203.0.%d.1:1", i), "alice") == 200 {
					got["stranger"]++
				}
			}
			w.now.Add(10)
		}
		if got["home"] != 22 || got["device"] != 22 || got["stranger"] > 11 {
			t.Errorf("%v", got)
		}
	})
	t.Run("attack_293_not another account", func(t *testing.T) {
		must(t, w.s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true, Password: w.hashOf("alice")}))
		for i := range 1000 {
			request(fmt.Sprintf("[2001:db8:%x::1]:1", i%256), "bob")
		}
		w.now.Add(3600)
		for i := range 20 {
			for j := range 200 {
				request(fmt.Sprintf("[2001:db8:%x::1]:1", j), "bob")
			}
			n := len(w.messages)
			if got := request(home, "bob", cookies...); got != 200 {
				t.Errorf("%d: %d: the answer tells whose account it is", i, got)
			}
			if len(w.messages) != n {
				t.Fatalf("%d: alice's address or device requested a link of bob's", i)
			}
			w.now.Add(601)
		}
	})
	t.Run("attack_293_another epoch", func(t *testing.T) {
		for _, addr := range []string{home, "203.0.113.1:1"} {
			r := httptest.NewRequest("POST", "https://app.example/", nil)
			r.RemoteAddr = addr
			r.AddCookie(cookies[0])
			for _, want := range []bool{true, false} {
				u, err := w.s.UserByName(t.Context(), "alice")
				must(t, err)
				known, err := w.passwords.Recall(r)
				must(t, err)
				if got := known(t.Context(), u); got != want {
					t.Errorf("%s: %t", addr, got)
				}
				if want && addr == home {
					u.Epoch++
					if known(t.Context(), u) {
						t.Error("at another epoch")
					}
					break
				}
				_, err = w.s.BumpEpoch(t.Context(), u.ID)
				must(t, err)
			}
		}
	})
}

// The owner's link stays valid while strangers request others.
func TestLastLinks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		t.Run("attack_294", func(t *testing.T) {
			for round := range 6 {
				post(w.Request(), `{"address":"alice"}`) // the owner
				w.Drain(t.Context())
				mine := w.messages[len(w.messages)-1].Token
				sent := len(w.messages)
				for range 20 { // strangers, for ten minutes
					post(w.Request(), `{"address":"alice"}`)
					w.Drain(t.Context())
					w.now.Add(29)
				}
				if n := len(w.messages) - sent; n > 5 {
					t.Errorf("%d messages in ten minutes", n)
				}
				if got := w.reset(mine, fmt.Sprint("looking-glass-", round)); got != 204 {
					t.Errorf("round %d: %d", round, got)
				}
				for _, m := range w.messages {
					if got := w.reset(m.Token, "mad-hatter-99"); got != 400 {
						t.Errorf("a link after another one was used: %d", got)
					}
				}
				w.now.Add(3600)
			}
		})
		t.Run("attack_294_three", func(t *testing.T) {
			w.messages = nil
			for range 4 {
				post(w.Request(), `{"address":"alice"}`)
				w.Drain(t.Context())
				w.now.Add(301)
			}
			if len(w.messages) != 4 { // the fourth in place of the first
				t.Fatalf("%d messages", len(w.messages))
			}
			if got := w.reset(w.messages[0].Token, "mad-hatter-99"); got != 400 {
				t.Errorf("the first of four: %d", got)
			}
			if got := w.reset(w.messages[1].Token, "white-rabbit-5"); got != 204 {
				t.Errorf("the second of four: %d", got)
			}
		})
		t.Run("attack_327_a_clock_that_was_ahead", func(t *testing.T) {
			w.messages = nil
			const year = 365 * 24 * 3600
			w.now.Add(year)
			for range 3 {
				post(w.Request(), `{"address":"alice"}`)
				w.Drain(t.Context())
			}
			w.now.Add(-year)
			post(w.Request(), `{"address":"alice"}`)
			w.Drain(t.Context())
			if len(w.messages) != 4 {
				t.Fatalf("%d messages", len(w.messages))
			}
			for i, want := range []int{400, 400, 400, 204} {
				if got := w.reset(w.messages[i].Token, "cheshire-cat-7"); got != want {
					t.Errorf("link %d: %d, want %d", i, got, want)
				}
			}
		})
	})
}

// Strangers who keep the queue full within their limits, while messages are slow, do not prevent an
// owner from getting a link.
func TestKnownCallersBesideAFullQueue_attack_350(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	login, _ := w.limited()
	const home = "198.51.100.7:1"
	cookies := login(home)
	w.Recovery = w.recovery(&recovery.Options{Queue: 4})
	request := func(addr, address string, cookies ...*http.Cookie) int {
		r := httptest.NewRequest("POST", "https://app.example/", strings.NewReader(fmt.Sprintf(`{"address":%q}`, address)))
		r.Header.Set("Content-Type", "application/json")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		r.RemoteAddr = addr
		rec := httptest.NewRecorder()
		w.Request().ServeHTTP(rec, r)
		return rec.Code
	}
	for i := range 6 {
		want := http.StatusOK
		if i >= 4 {
			want = http.StatusServiceUnavailable
		}
		if got := request(fmt.Sprintf("[2001:db8:%x::1]:1", i), fmt.Sprint("stranger", i)); got != want {
			t.Errorf("stranger %d: %d, want %d", i, got, want)
		}
	}
	if got := request(home, "alice"); got != http.StatusOK {
		t.Errorf("the owner at a known address: %d", got)
	}
	if got := request("203.0.113.9:1", "alice", cookies...); got != http.StatusOK {
		t.Errorf("the owner's device elsewhere: %d", got)
	}
	if got := request("203.0.113.10:1", "alice"); got != http.StatusServiceUnavailable {
		t.Errorf("a stranger: %d", got)
	}
}

// A dry run (Explain) deletes no link.
func TestExplainEndsNoLinks_attack_351(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	token := w.token()
	scheme, err := basic.New(w.Checker(w.passwords), nil)
	must(t, err)
	m := authn.New(authn.Chain{scheme}, nil)
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	r.SetBasicAuth("alice", "wonderland-1")
	if _, _, err := m.Explain(r); err != nil {
		t.Fatal(err)
	}
	if rec := post(w.Reset(), `{"token":"`+token+`","password":"looking-glass-1"}`); rec.Code != http.StatusNoContent {
		t.Errorf("the link after Explain: %d %s", rec.Code, rec.Body)
	}
}
