package password_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// line adds waiters one after the other to the queue of a hasher whose only slot is in use. It
// returns their names in the order in which they are served.
type line struct {
	t    *testing.T
	h    *password.Hasher
	got  []string
	away []string
}

func (l *line) wait(name string, known bool, account, network string) {
	go func() {
		release, err := l.h.HoldAs(context.Background(), known, account, network)
		if err != nil {
			l.away = append(l.away, name)
			return
		}
		l.got = append(l.got, name)
		release()
	}()
	synctest.Wait()
}

// at returns the position at which a name was served, from 0, or -1 if it was not.
func (l *line) at(name string) int { return slices.Index(l.got, name) }

func TestQueueFairness(t *testing.T) {
	scene := func(name string, maxWaiting int, run func(l *line), check func(l *line)) {
		t.Run("edge_A11/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, release := full(t, time.Minute, maxWaiting)
				l := &line{t: t, h: h}
				run(l)
				release()
				synctest.Wait()
				check(l)
				if taken, waiting := h.Slots(); taken != 0 || waiting != 0 {
					t.Errorf("%d slots and %d places are still taken", taken, waiting)
				}
			})
		})
	}
	first := func(t *testing.T, l *line, name string, want int) {
		t.Helper()
		if n := l.at(name); n < 0 || n > want {
			t.Errorf("%s was served as number %d of %v, turned away: %v", name, n, l.got, l.away)
		}
	}
	scene("one network, many accounts", 256, func(l *line) {
		for i := range 40 {
			l.wait(fmt.Sprint("bot", i), false, fmt.Sprint("account", i), "bots")
		}
		l.wait("owner", false, "alice", "home")
	}, func(l *line) { first(t, l, "owner", 2) })
	scene("many networks, one account", 256, func(l *line) {
		for i := range 40 {
			l.wait(fmt.Sprint("bot", i), true, "mallory", fmt.Sprint("net", i))
		}
		l.wait("owner", true, "alice", "home")
	}, func(l *line) { first(t, l, "owner", 2) })
	scene("known ones do not wait for strangers", 256, func(l *line) {
		for i := range 100 {
			l.wait(fmt.Sprint("bot", i), false, fmt.Sprint("account", i), fmt.Sprint("net", i))
		}
		l.wait("owner", true, "alice", "home")
	}, func(l *line) { first(t, l, "owner", 1) })
	scene("strangers are not starved by known ones", 256, func(l *line) {
		for i := range 100 {
			l.wait(fmt.Sprint("known", i), true, fmt.Sprint("account", i), fmt.Sprint("net", i))
		}
		l.wait("registrant", false, "alice", "home")
	}, func(l *line) { first(t, l, "registrant", 2) })
	scene("a full queue has a place for a network that waits less", 20, func(l *line) {
		for i := range 20 { // five of each network, a quarter
			l.wait(fmt.Sprint("bot", i), false, fmt.Sprint("account", i), fmt.Sprint("net", i%4))
		}
		l.wait("owner", false, "alice", "home")
		if len(l.away) != 1 {
			t.Errorf("turned away: %v", l.away)
		}
	}, func(l *line) { first(t, l, "owner", 5) })
	scene("a full queue of strangers has places for known ones", 20, func(l *line) {
		for i := range 20 {
			l.wait(fmt.Sprint("bot", i), false, fmt.Sprint("account", i), fmt.Sprint("net", i))
		}
		for i := range 9 {
			l.wait(fmt.Sprint("owner", i), true, fmt.Sprint("alice", i), fmt.Sprint("home", i))
		}
	}, func(l *line) {
		for i := range 9 {
			first(t, l, fmt.Sprint("owner", i), 20)
		}
		if len(l.away) != 9 {
			t.Errorf("turned away: %v", l.away)
		}
	})
	t.Run("edge_A11/half of the slots are reserved", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, err := password.NewHasher(&password.HasherOptions{Slots: 4, MaxWait: time.Minute})
			must(t, err)
			for i := range 4 {
				go func() { _, _ = h.HoldAs(t.Context(), false, fmt.Sprint(i), fmt.Sprint(i)) }()
				synctest.Wait()
			}
			if taken, waiting := h.Slots(); taken != 2 || waiting != 2 {
				t.Errorf("strangers hold %d of 4 slots, %d wait", taken, waiting)
			}
			for range 2 {
				_, err := h.HoldAs(t.Context(), true, "alice", "home")
				must(t, err)
			}
			if taken, _ := h.Slots(); taken != 4 {
				t.Errorf("%d of 4 slots taken", taken)
			}
		})
	})
}

// A checker with nil options has limits, and strangers' attempts do not use up the owner's.
func TestLimitedByDefault(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	newChecker := func(t *testing.T, o password.Options) *password.Checker {
		o.Clock, o.Sleep = func() time.Time { return now }, func(context.Context, time.Duration) {}
		c, err := password.New(memory.New(nil), cheap(), &o)
		must(t, err)
		_, err = c.Register(t.Context(), password.NewUser{Name: "alice", Password: secret})
		must(t, err)
		return c
	}
	try := func(c *password.Checker, addr, name, pw string) int {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = addr
		_, err := c.CheckPassword(r, name, pw)
		return status(err)
	}
	t.Run("edge_A14/wrong passwords", func(t *testing.T) {
		c := newChecker(t, password.Options{})
		for _, name := range []string{"alice", "nobody", "\x00"} {
			got := map[int]int{}
			for range 60 {
				got[try(c, "192.0.2.1:1", name, "x")]++
			}
			if got[401] != 5 || got[429] != 55 {
				t.Errorf("%q: %v", name, got)
			}
		}
	})
	t.Run("edge_A14/no limit only by an Insecure name", func(t *testing.T) {
		c := newChecker(t, password.Options{InsecureNoLimiter: true})
		for range 20 {
			if got := try(c, "192.0.2.1:1", "alice", "x"); got != 401 {
				t.Fatal(got)
			}
		}
		l, err := throttle.NewLogin(throttle.NewMemory(nil), nil)
		must(t, err)
		for _, o := range []password.Options{{InsecureNoLimiter: true, Limiter: l}, {Space: "a\x00b"}} {
			if _, err := password.New(memory.New(nil), cheap(), &o); err == nil {
				t.Errorf("%+v was accepted", o)
			}
		}
	})
	t.Run("edge_A11/a wrong one every 15 s and an owner without cookies", func(t *testing.T) {
		c := newChecker(t, password.Options{})
		wrong, right := map[int]int{}, map[int]int{}
		for i := range 4 * 61 {
			wrong[try(c, "203.0.113.1:1", "alice", "x")]++
			if i%4 == 3 {
				right[try(c, "198.51.100.1:1", "alice", secret)]++
			}
			now = now.Add(15 * time.Second)
		}
		if right[200] != 61 || wrong[401] > 35 {
			t.Errorf("right: %v, wrong: %v", right, wrong)
		}
	})
	t.Run("edge_A11/one name in two account spaces", func(t *testing.T) {
		l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Clock: func() time.Time { return now }})
		must(t, err)
		shop, staff := newChecker(t, password.Options{Limiter: l, Space: "shop"}), newChecker(t, password.Options{Limiter: l, Space: "staff"})
		for range 10 {
			try(shop, "192.0.2.1:1", "alice", "x")
		}
		if got := try(staff, "192.0.2.1:1", "alice", secret); got != 200 {
			t.Errorf("failures in the shop lock staff out: %d", got)
		}
	})
	t.Run("edge_A11/known ends with a new password", func(t *testing.T) {
		l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Clock: func() time.Time { return now }})
		must(t, err)
		c := newChecker(t, password.Options{Limiter: l})
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = "192.0.2.1:1" // who knew the password for a while
		login, err := c.CheckPassword(r, "alice", secret)
		must(t, err)
		must(t, c.SetPassword(t.Context(), login.Subject, "a new one 42"))
		got := map[int]int{}
		for range 60 {
			got[try(c, "192.0.2.1:1", "alice", secret)]++
		}
		if got[401] != 5 {
			t.Errorf("%v at the new password", got)
		}
	})
	t.Run("edge_A11/who changes the password stays known", func(t *testing.T) {
		c := newChecker(t, password.Options{})
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = "198.51.100.1:1"
		must(t, c.ChangePassword(r, "alice", secret, "a new one 42"))
		for i := range 400 { // strangers use up what is theirs
			try(c, fmt.Sprintf("203.%d.%d.1:1", i/200, i%200), "alice", "x")
		}
		if got := try(c, "198.51.100.2:1", "alice", "a new one 42"); got != 429 {
			t.Errorf("a new address: %d", got)
		}
		if got := try(c, "198.51.100.1:1", "alice", "a new one 42"); got != 200 {
			t.Errorf("the address of the change: %d", got)
		}
	})
}
