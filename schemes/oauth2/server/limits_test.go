package server_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const pushForm = "client_id=spa&response_type=code&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&code_challenge_method=S256&code_challenge="

// A flood of anonymous requests leaves a bounded number of records, and stops nobody else.
func TestAnonymousFlood_attack_260(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("edge_A13", func(t *testing.T) {
			requests, limits := 10_000, &oauthtest.Limits{MaxPending: 1000, MaxRegistrations: 100}
			switch s.(type) {
			case *memory.Store:
				requests, limits = 50_000, nil
			}
			if testing.Short() {
				requests, limits = requests/10, &oauthtest.Limits{MaxPending: 100, MaxRegistrations: 10}
			}
			most := 10_000
			registrations := 1000
			if limits != nil {
				most, registrations = limits.MaxPending, limits.MaxRegistrations
			}
			w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) { oauthtest.WithLimits(o); o.Limits = limits })
			p := w.NewProver()
			push := pushForm + oauthtest.ChallengeOf(oauthtest.Verifier)
			counts := map[string]int{}
			for n := range requests {
				if n%100 == 99 {
					w.Pass(30 * time.Minute * 100 / time.Duration(requests)) // half an hour in all
				}
				var got oauthtest.Reply
				var what string
				switch n % 4 {
				case 0, 1:
					what, got = "device", w.From(oauthtest.Address(n), w.DeviceAuthorization(), "client_id=tv")
				case 2:
					what, got = "push", w.From(oauthtest.Address(n), w.PushedAuthorization(), push, "DPoP", p.Proof("POST", oauthtest.Issuer+"/oauth2/par", nil))
				default:
					what, got = "register", w.Registers(oauthtest.Address(n))
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
			for _, what := range []string{"device", "push", "register"} {
				if counts[what+" 429"] == 0 {
					t.Errorf("%s: nothing was refused", what)
				}
			}
			// tv and spa are at their limits; nobody else is.
			const fresh = "203.0.113.9:1"
			for what, got := range map[string]oauthtest.Reply{
				"another client's device": w.From(fresh, w.DeviceAuthorization(), "client_id=radio"),
				"another client's push":   w.From(fresh, w.PushedAuthorization(), strings.Replace(push, "spa", "other", 1)+"&client_secret="+w.Secrets["other"]),
			} {
				if got.Status != 200 && got.Status != 201 {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
			pair := w.Exchange("spa", w.Code("spa", nil))
			if got := w.Post(w.Revoke(), "spa", "token", pair.Refresh); got.Status != 200 || w.Status(pair.Access) != 401 {
				t.Errorf("revoke: %s", got.Body)
			}
			clients, after := 0, ""
			for {
				list, err := s.ListClients(t.Context(), after, 1000)
				oauthtest.Must(t, err)
				if len(list) == 0 {
					break
				}
				clients, after = clients+len(list), list[len(list)-1].ID
			}
			if clients > registrations+6+registrations/10 || clients < registrations/4 {
				t.Errorf("%d clients", clients)
			}
			rows, err := s.(storage.Pruner).Prune(t.Context(), w.Clock().Add(100*24*time.Hour), 1<<20)
			oauthtest.Must(t, err)
			t.Logf("%d requests: %d records, %d clients", requests, rows, clients)
			if rows+clients >= most*12/10 || rows < most/8 {
				t.Errorf("%d records and %d clients are left of %d requests, want fewer than %d", rows, clients, requests, most*12/10)
			}
		})
	})
}

// One source, one client and one wider network each have a limit of their own.
func TestAnonymousLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	// admitted is how many of n requests pass.
	admitted := func(n int, ask func(i int) oauthtest.Reply) (ok int) {
		for i := range n {
			if got := ask(i); got.Status < 300 {
				ok++
			}
		}
		return ok
	}
	open := func(t *testing.T, limits *oauthtest.Limits) *oauthtest.World {
		return oauthtest.NewDevices(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithLimits(o); o.Limits = limits })
	}
	device := func(w *oauthtest.World, client string) func(addr string) oauthtest.Reply {
		return func(addr string) oauthtest.Reply { return w.From(addr, w.DeviceAuthorization(), "client_id="+client) }
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
			if got := admitted(100, func(i int) oauthtest.Reply { return ask(x.addr(i)) }); got != x.minute {
				t.Errorf("%d of 100 at once, want %d", got, x.minute)
			}
			if got := ask("198.51.100.7:1"); got.Status != 200 {
				t.Errorf("another source: %d", got.Status)
			}
			w.Pass(time.Minute)
			if got := ask(x.addr(0)); got.Status != 200 {
				t.Errorf("a minute later: %d", got.Status)
			}
			// An hour of tries gives what the hour allows, and the burst once.
			total := 0
			for range 60 {
				w.Pass(time.Minute)
				total += admitted(30, func(i int) oauthtest.Reply { return ask(x.addr(i)) })
			}
			if hour := map[int]int{5: 30, 10: 45, 20: 60}[x.minute]; total > 2*hour || total < hour {
				t.Errorf("%d in an hour, want about %d", total, hour)
			}
		})
	}
	t.Run("edge_A13/client", func(t *testing.T) {
		w := open(t, &oauthtest.Limits{MaxPending: 320})
		ask, other := device(w, "tv"), device(w, "radio")
		if got := admitted(400, func(i int) oauthtest.Reply { return ask(oauthtest.Address(i)) }); got != 22+7 { // of 240 for devices a quarter, half of it at once; a quarter of that is the reserve
			t.Errorf("%d", got)
		}
		if got := other("192.0.2.1:1"); got.Status != 200 {
			t.Errorf("another client: %d %s", got.Status, got.Body)
		}
		if got := w.From("192.0.2.1:1", w.PushedAuthorization(), pushForm+oauthtest.ChallengeOf(oauthtest.Verifier)); got.Status != 201 {
			t.Errorf("another kind: %d %s", got.Status, got.Body)
		}
	})
	t.Run("edge_A13/authenticated", func(t *testing.T) { // it has proved something: its users do not share one address's limit
		w := open(t, nil)
		form := strings.Replace(pushForm, "client_id=spa&", "", 1) + oauthtest.ChallengeOf(oauthtest.Verifier) + "&client_id=other&client_secret=" + w.Secrets["other"]
		if got := admitted(400, func(int) oauthtest.Reply { return w.From("192.0.2.1:1", w.PushedAuthorization(), form) }); got != 400 {
			t.Errorf("%d of 400", got)
		}
	})
	t.Run("edge_A13/polls", func(t *testing.T) { // each is a write
		s := &polled{Store: memory.New(nil)}
		w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) { oauthtest.WithLimits(o) })
		b := w.Begin()
		for range 200 {
			if got := w.Poll("tv", b.Device); got.Error != "authorization_pending" && got.Error != "slow_down" {
				t.Fatalf("%s", got.Body)
			}
		}
		if s.n > 30 {
			t.Errorf("%d writes for 200 polls", s.n)
		}
		w.Pass(5 * time.Minute)
		if got := w.Poll("tv", b.Device); got.Error != "authorization_pending" {
			t.Errorf("later: %s", got.Body)
		}
	})
	t.Run("edge_A13/a limiter that fails", func(t *testing.T) {
		l := &limiter{}
		w := open(t, &oauthtest.Limits{Limiter: l})
		ask := device(w, "tv")
		if got := ask("192.0.2.1:1"); got.Status != 200 || l.asked != 1 || l.cells != 10 {
			t.Errorf("%d, asked %d times for %d cells", got.Status, l.asked, l.cells)
		}
		l.wait = 3 * time.Second
		if got := ask("192.0.2.1:1"); got.Status != 429 || got.Header.Get("Retry-After") != "3" {
			t.Errorf("%d %v", got.Status, got.Header)
		}
		l.fails = true
		if got := admitted(100, func(int) oauthtest.Reply { return ask("192.0.2.1:1") }); got != 5 {
			t.Errorf("%d of 100 while the limiter fails", got)
		}
		if strings.Contains(w.Log.String(), "192.0.2.1") || !strings.Contains(w.Log.String(), "limiter failed") {
			t.Errorf("log: %s", w.Log.String())
		}
	})
	t.Run("off", func(t *testing.T) {
		w := oauthtest.NewDevices(t, memory.New(nil), nil)
		if got := admitted(100, func(int) oauthtest.Reply { return w.From("192.0.2.1:1", w.DeviceAuthorization(), "client_id=tv") }); got != 100 {
			t.Errorf("%d", got)
		}
	})
	t.Run("options", func(t *testing.T) {
		for _, bad := range []oauthtest.Limits{{MaxPending: -1}, {MaxPending: 31}, {MaxPending: 1e9}, {MaxRegistrations: -1}, {MaxRegistrations: 1}} {
			if _, err := oauthtest.New(oauthtest.Issuer, memory.New(nil), &oauthtest.Options{Limits: &bad}); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	})
}

// polled counts the polls that reach the store.
type polled struct {
	oauthtest.Store
	n int
}

func (p *polled) PollDeviceGrant(ctx context.Context, d storage.Digest, client string, now time.Time) (storage.DeviceGrant, error) {
	p.n++
	return p.Store.PollDeviceGrant(ctx, d, client, now)
}

type limiter struct {
	asked, cells int
	wait         time.Duration
	fails        bool
}

func (l *limiter) Take(_ context.Context, _ time.Time, cells []oauthtest.Cell) (time.Duration, error) {
	if l.fails {
		return 0, errors.New("down")
	}
	l.asked, l.cells = l.asked+1, len(cells)
	return l.wait, nil
}
