package throttle_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

var update = flag.Bool("update", false, "write the table of the simulation into docs/simulations.md")

// sim is a limiter with an injected clock, and what its callers got.
type sim struct {
	t     testing.TB
	c     *clock
	l     *throttle.Login
	epoch int64 // of the victim's account
	tries int   // wrong ones at the victim that were let through
	all   int   // wrong ones at any account

	minted [][]*http.Cookie // those that the attack has
}

const victim = "\x00alice"

func newSim(t testing.TB) *sim {
	c := newClock()
	return &sim{t: t, c: c, l: login(t, throttle.NewMemory(nil), throttle.LoginOptions{DeviceKey: key32, NameKey: key32, Clock: c.now})}
}

// wrong sends a wrong password and reports whether it was hashed.
func (s *sim) wrong(addr, account string, cookies ...*http.Cookie) bool {
	a, err := s.l.Reserve(from(addr, cookies...), account)
	if err == nil {
		err = a.(authn.AccountAttempt).Account(context.Background(), subjectOf(account), s.epochOf(account))
	}
	if err != nil {
		return false
	}
	if s.all++; account == victim {
		s.tries++
	}
	return true
}

// right logs in with the right password and returns the cookies for later requests.
func (s *sim) right(addr, account string, cookies ...*http.Cookie) ([]*http.Cookie, bool) {
	a, err := s.l.Reserve(from(addr, cookies...), account)
	if err == nil {
		err = a.(authn.AccountAttempt).Account(context.Background(), subjectOf(account), s.epochOf(account))
	}
	if err != nil {
		return cookies, false
	}
	if set := a.Succeeded(context.Background()); len(set) > 0 {
		cookies = set
	}
	return cookies, true
}

// subjectOf is the ID of an account; invented names have none.
func subjectOf(account string) string {
	if strings.Contains(account, "invented") {
		return ""
	}
	return "id of " + account
}

func (s *sim) epochOf(account string) int64 {
	if account == victim {
		return s.epoch
	}
	return 0
}

// scenario is one row of the table.
type scenario struct {
	name   string
	hours  float64
	every  time.Duration                 // between two tries
	before func(*sim)                    // after the owners' first logins, before the attack
	try    func(s *sim, i int)           // one try
	owner  func(n int) string            // where the owner who is known by address logs in; nil: an address of his own
	check  func(t *testing.T, r results) // what the guide promises
}

// owners are callers that log in once per minute during the attack.
const (
	newcomer  = iota // an address that the account never logged in from, without cookies, from the middle of the attack
	home             // an address that it logged in from before, without cookies
	device           // a device cookie, in turns at the known address and in a new network each time
	traveller        // no cookies, and another network every hour
	owners
)

type results struct {
	tries, all int
	in, of     [owners]int
}

// run lets the owners log in while the attack goes on.
func (x scenario) run(t testing.TB) (r results) {
	s := newSim(t)
	homeAddr := "198.51.100.7:1"
	if x.owner != nil {
		homeAddr = x.owner(0)
	}
	s.right(homeAddr, victim)
	cookies, _ := s.right("198.51.101.7:1", victim)
	s.right("100.64.0.1:1", victim)
	if x.before != nil {
		x.before(s)
	}
	begin, n := s.c.now(), 0
	end := time.Duration(x.hours * float64(time.Hour))
	attack := func(until time.Duration) {
		for ; time.Duration(n)*x.every < until; n++ {
			s.c.set(begin.Add(time.Duration(n) * x.every))
			x.try(s, n)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for minute := time.Duration(0); minute <= end; minute += time.Minute {
		at := minute + time.Duration(random.Int64N(int64(time.Minute)))
		attack(at)
		s.c.set(begin.Add(at))
		m := int(minute / time.Minute)
		for i := range owners {
			ok := false
			switch i {
			case newcomer:
				if minute < end/2 {
					continue
				}
				_, ok = s.right("198.51.102.7:1", victim)
			case home:
				_, ok = s.right(homeAddr, victim)
			case device:
				addr := homeAddr
				if m%2 == 0 {
					addr = fmt.Sprintf("100.%d.%d.7:1", 80+m/200, m%200)
				}
				cookies, ok = s.right(addr, victim, cookies...)
			case traveller:
				_, ok = s.right(fmt.Sprintf("100.64.%d.1:1", m/60), victim)
			}
			if r.of[i]++; ok {
				r.in[i]++
			}
		}
	}
	r.tries, r.all = s.tries, s.all
	return r
}

func all(t *testing.T, r results, who ...int) {
	t.Helper()
	for _, i := range who {
		if r.in[i] != r.of[i] {
			t.Errorf("owner %d: let in %d of %d times", i, r.in[i], r.of[i])
		}
	}
}

func everybody(t *testing.T, r results) { t.Helper(); all(t, r, newcomer, home, device, traveller) }
func known(t *testing.T, r results)     { t.Helper(); all(t, r, home, device) }

func atMost(t *testing.T, r results, n int) {
	t.Helper()
	if r.tries > n {
		t.Errorf("%d tries at the account, want at most %d", r.tries, n)
	}
}

// TestSimulation_attack_258 is the table of docs/simulations.md.
func TestSimulation_attack_258(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	rows := make([]string, len(scenarios))
	t.Cleanup(func() { // after the parallel ones
		agrees(t, "simulated", "| attack | hours | tries at the account | new address | known address | device cookie | travels |\n|---|---|---|---|---|---|---|\n"+strings.Join(rows, ""))
	})
	for n, x := range scenarios {
		t.Run("edge_A11/"+x.name, func(t *testing.T) {
			t.Parallel()
			r := x.run(t)
			x.check(t, r)
			rows[n] = fmt.Sprintf("| %s | %g | %d |", x.name, x.hours, r.tries)
			for i := range owners {
				rows[n] += fmt.Sprintf(" %d of %d |", r.in[i], r.of[i])
			}
			rows[n] += "\n"
		})
	}
}

// A flood from one /56, and an owner with a device cookie who logs in every second.
func TestFloodOfOneNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	t.Run("edge_A11/1,000 tries from 34 /64s, then 20 a second", func(t *testing.T) {
		s := newSim(t)
		cookies, _ := s.right("198.51.100.7:1", victim)
		for i := range 1000 {
			s.wrong(v6(0, i%34), fmt.Sprint("\x00invented", i))
		}
		for i := range 60 {
			for j := range 20 {
				s.wrong(v6(0, (20*i+j)%34), fmt.Sprint("\x00invented", j))
				s.c.add(time.Second / 20)
			}
			if _, ok := s.right("100.64.0.1:1", victim, cookies...); !ok {
				t.Fatalf("refused in second %d", i)
			}
		}
	})
}

const guide = "../../docs/simulations.md"

// agrees compares the text between two comments of the guide, or writes it there.
func agrees(t *testing.T, name, want string) {
	t.Helper()
	if t.Failed() {
		return
	}
	doc, err := os.ReadFile(guide)
	must(t, err)
	begin, end := "<!-- "+name+" -->\n", "<!-- end "+name+" -->"
	head, rest, ok1 := strings.Cut(string(doc), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no %s", guide, begin)
	}
	if got == want {
		return
	}
	if *update {
		must(t, os.WriteFile(guide, []byte(head+begin+want+end+tail), 0o644))
		return
	}
	t.Errorf("%s differs from the simulation; run go test -run TestSimulation -update. Want:\n%s", guide, want)
}
