package oauth2_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// from posts a form from an address.
func (w *world) from(addr string, h http.Handler, form string, headers ...string) reply {
	r := httptest.NewRequest("POST", issuer+"/x", strings.NewReader(form))
	r.RemoteAddr = addr
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return reply{Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
}

// address is the n-th of many, each in a network of its own.
func address(n int) string {
	if n%2 == 0 {
		return fmt.Sprintf("[%x:%x:%x::1]:1234", 0x2400+n/2%101, n/2/101%200, n/2/101/200)
	}
	return fmt.Sprintf("%d.%d.%d.1:1234", 11+n/2%101, n/2/101%200, n/2/101/200)
}

func withLimits(o *oauth2.Options) {
	o.InsecureNoLimits = false
	o.DPoP = &oauth2.DPoP{}
	o.Registration = &oauth2.Registration{Allow: func(*http.Request) error { return nil }, Scopes: []string{"read"}}
}

const pushForm = "client_id=spa&response_type=code&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&code_challenge_method=S256&code_challenge="

func (w *world) registers(addr string) reply {
	return w.from(addr, w.Register(), `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`, "Content-Type", "application/json")
}

// A flood of anonymous requests leaves a bounded number of records, and stops nobody else.
func TestAnonymousFlood_attack_260(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		t.Run("edge_A13", func(t *testing.T) {
			requests, limits := 10_000, &oauth2.Limits{MaxPending: 1000, MaxRegistrations: 100}
			switch s.(type) {
			case *memory.Store:
				requests, limits = 100_000, nil
			}
			if testing.Short() {
				requests, limits = requests/10, &oauth2.Limits{MaxPending: 100, MaxRegistrations: 10}
			}
			most := 10_000
			registrations := 1000
			if limits != nil {
				most, registrations = limits.MaxPending, limits.MaxRegistrations
			}
			w := newDevices(t, s, func(o *oauth2.Options) { withLimits(o); o.Limits = limits })
			p := w.prover()
			push := pushForm + challengeOf(verifier)
			counts := map[string]int{}
			for n := range requests {
				if n%100 == 99 {
					w.pass(30 * time.Minute * 100 / time.Duration(requests)) // half an hour in all
				}
				var got reply
				var what string
				switch n % 4 {
				case 0, 1:
					what, got = "device", w.from(address(n), w.DeviceAuthorization(), "client_id=tv")
				case 2:
					what, got = "push", w.from(address(n), w.Push(), push, "DPoP", p.proof("POST", issuer+"/oauth2/par", nil))
				default:
					what, got = "register", w.registers(address(n))
				}
				counts[fmt.Sprint(what, " ", got.Status)]++
				switch {
				case got.Status == 200, got.Status == 201:
				case got.Status != 429:
					t.Fatalf("%s: %d %s", what, got.Status, got.Body)
				default:
					if after, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || after < 1 {
						t.Fatalf("Retry-After %q", got.Header.Get("Retry-After"))
					}
					if want := map[string]string{"device": "slow_down"}[what]; !strings.Contains(got.Body, want) {
						t.Fatalf("%s: %s", what, got.Body)
					}
				}
			}
			t.Log(counts)
			// tv and spa are at their limits; nobody else is.
			const fresh = "203.0.113.9:1"
			for what, got := range map[string]reply{
				"another client's device": w.from(fresh, w.DeviceAuthorization(), "client_id=radio"),
				"another client's push":   w.from(fresh, w.Push(), strings.Replace(push, "spa", "other", 1)+"&client_secret="+w.secrets["other"]),
			} {
				if got.Status != 200 && got.Status != 201 {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
			pair := w.exchange("spa", w.code("spa", nil))
			if got := w.post(w.Revoke(), "spa", "token", pair.Refresh); got.Status != 200 || w.status(pair.Access) != 401 {
				t.Errorf("revoke: %s", got.Body)
			}
			clients, after := 0, ""
			for {
				list, err := s.ListClients(t.Context(), after, 1000)
				must(t, err)
				if len(list) == 0 {
					break
				}
				clients, after = clients+len(list), list[len(list)-1].ID
			}
			if clients > registrations+6+registrations/10 || clients < registrations/4 {
				t.Errorf("%d clients", clients)
			}
			rows, err := s.(storage.Pruner).Prune(t.Context(), w.clock().Add(366*24*time.Hour), 1<<20)
			must(t, err)
			t.Logf("%d requests: %d records, %d clients", requests, rows, clients)
			if rows+clients >= most*12/10 || rows < most/8 {
				t.Errorf("%d records and %d clients are left of %d requests, want fewer than %d", rows, clients, requests, most*12/10)
			}
		})
	})
}

// One source, one client and one wider network each have a limit of their own.
func TestAnonymousLimits(t *testing.T) {
	// admitted is how many of n requests pass.
	admitted := func(n int, ask func(i int) reply) (ok int) {
		for i := range n {
			if got := ask(i); got.Status < 300 {
				ok++
			}
		}
		return ok
	}
	open := func(t *testing.T, limits *oauth2.Limits) *world {
		return newDevices(t, memory.New(nil), func(o *oauth2.Options) { withLimits(o); o.Limits = limits })
	}
	device := func(w *world, client string) func(addr string) reply {
		return func(addr string) reply { return w.from(addr, w.DeviceAuthorization(), "client_id="+client) }
	}
	for what, x := range map[string]struct {
		addr   func(int) string
		minute int
	}{
		"address":      {func(int) string { return "192.0.2.1:1" }, 5},
		"ports":        {func(i int) string { return fmt.Sprint("192.0.2.1:", i) }, 5},
		"/28":          {func(i int) string { return fmt.Sprintf("192.0.2.%d:1", i%16) }, 10},
		"/24":          {func(i int) string { return fmt.Sprintf("192.0.2.%d:1", i) }, 20},
		"IPv6 address": {func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1", i) }, 5},
		"/56":          {func(i int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1", i) }, 10},
		"/48":          {func(i int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1", i<<8) }, 20},
		"unknown":      {func(int) string { return "@" }, 5},
		"IPv4 in IPv6": {func(int) string { return "[::ffff:192.0.2.1]:1" }, 5},
	} {
		t.Run("edge_A13/"+what, func(t *testing.T) {
			w := open(t, nil)
			ask := device(w, "tv")
			if got := admitted(100, func(i int) reply { return ask(x.addr(i)) }); got != x.minute {
				t.Errorf("%d of 100 at once, want %d", got, x.minute)
			}
			if got := ask("198.51.100.7:1"); got.Status != 200 {
				t.Errorf("another source: %d", got.Status)
			}
			w.pass(time.Minute)
			if got := ask(x.addr(0)); got.Status != 200 {
				t.Errorf("a minute later: %d", got.Status)
			}
			// An hour of tries gives what the hour allows, and the burst once.
			total := 0
			for range 60 {
				w.pass(time.Minute)
				total += admitted(30, func(i int) reply { return ask(x.addr(i)) })
			}
			if hour := map[int]int{5: 30, 10: 45, 20: 60}[x.minute]; total > 2*hour || total < hour {
				t.Errorf("%d in an hour, want about %d", total, hour)
			}
		})
	}
	t.Run("edge_A13/client", func(t *testing.T) {
		w := open(t, &oauth2.Limits{MaxPending: 320})
		ask, other := device(w, "tv"), device(w, "radio")
		if got := admitted(400, func(i int) reply { return ask(address(i)) }); got != 22+7 { // of 240 for devices a quarter, half of it at once; a quarter of that is the reserve
			t.Errorf("%d", got)
		}
		if got := other("192.0.2.1:1"); got.Status != 200 {
			t.Errorf("another client: %d %s", got.Status, got.Body)
		}
		if got := w.from("192.0.2.1:1", w.Push(), pushForm+challengeOf(verifier)); got.Status != 201 {
			t.Errorf("another kind: %d %s", got.Status, got.Body)
		}
	})
	t.Run("edge_A13/authenticated", func(t *testing.T) { // it has proved something: its users do not share one address's limit
		w := open(t, nil)
		form := strings.Replace(pushForm, "client_id=spa&", "", 1) + challengeOf(verifier) + "&client_id=other&client_secret=" + w.secrets["other"]
		if got := admitted(400, func(int) reply { return w.from("192.0.2.1:1", w.Push(), form) }); got != 400 {
			t.Errorf("%d of 400", got)
		}
	})
	t.Run("edge_A13/polls", func(t *testing.T) { // each is a write
		s := &polled{store: memory.New(nil)}
		w := newDevices(t, s, func(o *oauth2.Options) { withLimits(o) })
		b := w.begin()
		for range 200 {
			if got := w.poll("tv", b.Device); got.Error != "authorization_pending" && got.Error != "slow_down" {
				t.Fatalf("%s", got.Body)
			}
		}
		if s.n > 30 {
			t.Errorf("%d writes for 200 polls", s.n)
		}
		w.pass(5 * time.Minute)
		if got := w.poll("tv", b.Device); got.Error != "authorization_pending" {
			t.Errorf("later: %s", got.Body)
		}
	})
	t.Run("edge_A13/a limiter that fails", func(t *testing.T) {
		l := &limiter{}
		w := open(t, &oauth2.Limits{Limiter: l})
		ask := device(w, "tv")
		if got := ask("192.0.2.1:1"); got.Status != 200 || l.asked != 1 || l.cells != 10 {
			t.Errorf("%d, asked %d times for %d cells", got.Status, l.asked, l.cells)
		}
		l.wait = 3 * time.Second
		if got := ask("192.0.2.1:1"); got.Status != 429 || got.Header.Get("Retry-After") != "3" {
			t.Errorf("%d %v", got.Status, got.Header)
		}
		l.fails = true
		if got := admitted(100, func(int) reply { return ask("192.0.2.1:1") }); got != 5 {
			t.Errorf("%d of 100 while the limiter fails", got)
		}
		if strings.Contains(w.log.String(), "192.0.2.1") || !strings.Contains(w.log.String(), "limiter failed") {
			t.Errorf("log: %s", w.log.String())
		}
	})
	t.Run("off", func(t *testing.T) {
		w := newDevices(t, memory.New(nil), nil)
		if got := admitted(100, func(int) reply { return w.from("192.0.2.1:1", w.DeviceAuthorization(), "client_id=tv") }); got != 100 {
			t.Errorf("%d", got)
		}
	})
	t.Run("options", func(t *testing.T) {
		for _, bad := range []oauth2.Limits{{MaxPending: -1}, {MaxPending: 31}, {MaxPending: 1e9}, {MaxRegistrations: -1}, {MaxRegistrations: 1}} {
			if _, err := oauth2.New(issuer, memory.New(nil), &oauth2.Options{Limits: &bad}); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	})
}

// polled counts the polls that reach the store.
type polled struct {
	store
	n int
}

func (p *polled) PollDeviceGrant(ctx context.Context, d storage.Digest, client string, now time.Time) (storage.DeviceGrant, error) {
	p.n++
	return p.store.PollDeviceGrant(ctx, d, client, now)
}

type limiter struct {
	asked, cells int
	wait         time.Duration
	fails        bool
}

func (l *limiter) Take(_ context.Context, _ time.Time, cells []oauth2.Cell) (time.Duration, error) {
	if l.fails {
		return 0, errors.New("down")
	}
	l.asked, l.cells = l.asked+1, len(cells)
	return l.wait, nil
}
