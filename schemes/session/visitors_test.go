package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// shop is a page that stores a cart for visitors.
type shop struct {
	*session.Scheme
	now  time.Time
	site string // Sec-Fetch-Site of requests
}

func newShop(t *testing.T, opts session.Options) *shop {
	t.Helper()
	s := &shop{now: born}
	opts.Clock = func() time.Time { return s.now }
	db := memory.New(&memory.Options{Clock: opts.Clock})
	schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "alice", Active: true}))
	schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "2", Name: "bob", Active: true}))
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	s.Scheme, err = session.New(db, site, &opts)
	schemetest.Must(t, err)
	return s
}

// put adds an item to the cart of a visitor from that address and returns the cart's cookie.
func (s *shop) put(t *testing.T, from, cookie, item string) (pair string, had any, code int) {
	t.Helper()
	r, w := httptest.NewRequest("GET", "https://app.example/", nil), httptest.NewRecorder()
	r.RemoteAddr = from
	if s.site != "" {
		r.Header.Set("Sec-Fetch-Site", s.site)
		r.Header.Set("Sec-Fetch-Dest", "document")
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	authn.New(authn.Chain{s}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := s.Store().Get(r, "cart")
		schemetest.Must(t, err)
		had = v.Values["item"]
		v.Values["item"] = item
		if err := s.Store().Save(r, w, v); err != nil {
			authn.Respond(w, r, err)
		}
	})).ServeHTTP(w, r)
	return cookiePair(w, "__Host-cart"), had, w.Code
}

func TestSessionsOfVisitors(t *testing.T) {
	t.Run("attack_357 one address", func(t *testing.T) {
		s := newShop(t, session.Options{VisitorsPerHour: 20})
		codes := map[int]int{}
		for range 10 {
			for range 100 {
				_, _, code := s.put(t, "198.51.100.7:1", "", "x")
				codes[code]++
			}
			s.now = s.now.Add(6 * time.Minute)
		}
		if codes[200] < 15 || codes[200] > 25 || codes[200]+codes[429] != 1000 {
			t.Errorf("in an hour: %v, want about 20 sessions", codes)
		}
		if pair, _, code := s.put(t, "192.0.2.1:1", "", "x"); pair == "" || code != 200 {
			t.Errorf("another address: %d", code)
		}
	})
	t.Run("attack_357 networks", func(t *testing.T) {
		for name, from := range map[string]func(i int) string{
			"/28": func(i int) string { return fmt.Sprintf("192.0.2.%d:1", i%16) },
			"/24": func(i int) string { return fmt.Sprintf("192.0.2.%d:1", i%256) },
			"/56": func(i int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1", i%256) },
			"/48": func(i int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1", i) },
			"/32": func(i int) string { return fmt.Sprintf("[2001:db8:%x::1]:1", i) },
		} {
			s := newShop(t, session.Options{VisitorsPerHour: 10})
			ok := 0
			for i := range 2000 {
				if _, _, code := s.put(t, from(i), "", "x"); code == 200 {
					ok++
				}
			}
			if want := map[string]int{"/28": 4, "/56": 4, "/24": 16, "/48": 16, "/32": 256}[name]; ok != want {
				t.Errorf("%s: %d sessions at once, want %d", name, ok, want)
			}
		}
	})
	t.Run("attack_357 accounts of one address", func(t *testing.T) {
		s := newShop(t, session.Options{VisitorsPerHour: 20})
		mine := begin(t, s.Start, "1", "__Host-session")
		other := begin(t, s.Start, "2", "__Host-session")
		codes := map[string]int{}
		for range 5 {
			for name, cookie := range map[string]string{"stranger": "", "one": mine, "two": other} {
				_, _, code := s.put(t, "192.0.2.1:1", cookie, "x")
				if name != "stranger" {
					name = "users"
				}
				codes[fmt.Sprint(name, " ", code)]++
			}
		}
		if codes["stranger 200"] != 2 || codes["users 200"] != 2 || codes["users 429"] != 8 {
			t.Errorf("%v, want 2 sessions at once of strangers, and 2 of the users of the address", codes)
		}
	})
	t.Run("attack_357 an account", func(t *testing.T) {
		s := newShop(t, session.Options{VisitorsPerHour: 20})
		mine := begin(t, s.Start, "1", "__Host-session")
		codes := map[int]int{}
		for i := range 50 {
			_, _, code := s.put(t, fmt.Sprintf("[2001:db8:%x::1]:1", i), mine, "x")
			codes[code]++
		}
		if codes[200] != 2 || codes[429] != 48 {
			t.Errorf("%v, want 2 sessions at once", codes)
		}
	})
	t.Run("a cookie that does not come back", func(t *testing.T) {
		s := newShop(t, session.Options{VisitorIdle: time.Hour})
		pair, _, _ := s.put(t, "192.0.2.1:1", "", "x")
		s.now = s.now.Add(time.Hour)
		if _, had, _ := s.put(t, "192.0.2.1:1", pair, "y"); had != nil {
			t.Errorf("after VisitorIdle: %v", had)
		}
	})
	t.Run("a cookie that comes back", func(t *testing.T) {
		s := newShop(t, session.Options{VisitorIdle: time.Hour})
		pair, _, _ := s.put(t, "192.0.2.1:1", "", "x")
		s.now = s.now.Add(59 * time.Minute)
		if _, had, _ := s.put(t, "192.0.2.1:1", pair, "y"); had != "x" {
			t.Fatalf("before VisitorIdle: %v", had)
		}
		s.now = s.now.Add(59 * time.Minute)
		if _, had, _ := s.put(t, "192.0.2.1:1", pair, "z"); had != "y" {
			t.Errorf("59 minutes later: %v", had)
		}
		s.now = s.now.Add(time.Hour)
		if _, had, _ := s.put(t, "192.0.2.1:1", pair, "w"); had != nil {
			t.Errorf("an hour later: %v", had)
		}
	})
	t.Run("saves of one's own session are no new ones", func(t *testing.T) {
		s := newShop(t, session.Options{VisitorsPerHour: 1})
		pair, _, _ := s.put(t, "192.0.2.1:1", "", "0")
		for i := range 20 {
			if _, _, code := s.put(t, "192.0.2.1:1", pair, fmt.Sprint(i+1)); code != 200 {
				t.Fatalf("save %d: %d", i, code)
			}
		}
	})
	t.Run("any number", func(t *testing.T) {
		s := newShop(t, session.Options{VisitorsPerHour: session.NoLimit})
		for i := range 1000 {
			if _, _, code := s.put(t, "192.0.2.1:1", "", "x"); code != 200 {
				t.Fatalf("session %d: %d", i, code)
			}
		}
	})
	t.Run("options", func(t *testing.T) {
		site, err := csrf.New("https://app.example", nil)
		schemetest.Must(t, err)
		for _, o := range []session.Options{{Interval: 24 * time.Hour}, {Idle: 30 * time.Hour, Interval: 20 * time.Hour}, {Interval: session.EveryRequest}} {
			if _, err := session.New(memory.New(nil), site, &o); err != nil {
				t.Errorf("%+v: %v", o.Interval, err)
			}
		}
		for _, o := range []session.Options{{VisitorsPerHour: -2}, {VisitorsPerHour: 1_000_001}, {MaxVisitors: 99}, {MaxVisitors: -2}, {MaxVisitors: 100_000_001}, {VisitorIdle: -1}, {VisitorIdle: 15 * 24 * time.Hour}} {
			if _, err := session.New(memory.New(nil), site, &o); err == nil {
				t.Errorf("%d %s: no error", o.VisitorsPerHour, o.VisitorIdle)
			}
		}
		if _, err := session.New(memory.New(nil), site, &session.Options{Idle: time.Hour}); err != nil {
			t.Errorf("a short Idle alone: %v", err)
		}
	})
}

// All visitors together can create a limited number of sessions. Visitors with a session keep it,
// users and logins do not count, and networks that create few sessions have a reserve.
func TestSessionsOfAllVisitors_attack_503(t *testing.T) {
	s := newShop(t, session.Options{MaxVisitors: 400})
	pair, _, _ := s.put(t, "192.0.2.1:1", "", "mine")
	mine := begin(t, s.Start, "1", "__Host-session")
	flood := func(from func(i int) string, n int) (ok int) {
		for i := range n {
			if _, _, code := s.put(t, from(i), "", "x"); code == 200 {
				ok++
			}
		}
		return ok
	}
	// A quarter of the 200 at once, and the share of its networks in the reserve.
	if n := flood(func(i int) string { return fmt.Sprintf("[2001:db8:%x::1]:1", i%1000) }, 3000); n < 50 || n > 80 {
		t.Errorf("an IPv6 /32: %d sessions, want 50 and 30 of the reserve at most", n)
	}
	if n := flood(func(i int) string { return fmt.Sprintf("[2001:%x:1::1]:1", i%1000) }, 3000); n > 250 {
		t.Errorf("a botnet: %d sessions", n)
	}
	if _, _, code := s.put(t, "203.0.113.1:1", "", "x"); code != 429 {
		t.Errorf("a new visitor after that: %d", code)
	}
	if _, had, code := s.put(t, "192.0.2.1:1", pair, "y"); code != 200 || had != "mine" {
		t.Errorf("a visitor who has a session: %d %v", code, had)
	}
	if _, _, code := s.put(t, "203.0.113.1:1", mine, "x"); code != 200 {
		t.Errorf("a user: %d", code)
	}
	if begin(t, s.Start, "2", "__Host-session") == "" {
		t.Error("a login began no session")
	}
	s.now = s.now.Add(24 * time.Hour)
	if _, _, code := s.put(t, "203.0.113.1:1", "", "x"); code != 200 {
		t.Errorf("a day later: %d", code)
	}
	s = newShop(t, session.Options{MaxVisitors: 400})
	flood(func(i int) string { return fmt.Sprintf("192.%d.2.1:1", i) }, 200)
	if n := flood(func(int) string { return "203.0.113.1:1" }, 10); n != 3 {
		t.Errorf("a network that comes rarely: %d of the reserve, want 3", n)
	}
}

// A page of another site does not use up the limit of its visitors' addresses.
func TestVisitorsOfAnotherSite_attack_502(t *testing.T) {
	s := newShop(t, session.Options{VisitorsPerHour: 20})
	s.site = "cross-site"
	for range 50 {
		s.put(t, "192.0.2.1:1", "", "x")
	}
	if _, _, code := s.put(t, "192.0.2.1:1", "", "x"); code != 429 {
		t.Errorf("by the other site: %d", code)
	}
	s.site = "none"
	if _, _, code := s.put(t, "192.0.2.1:1", "", "x"); code != 200 {
		t.Errorf("by the visitor: %d", code)
	}
}
