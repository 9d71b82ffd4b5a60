package throttle_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// keyed accepts "Key good…", returns an error for "Key fault", and counts its calls.
type keyed struct{ asked int }

func (k *keyed) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Key", "key")
	if err != nil {
		return authn.Identity{}, err
	}
	switch k.asked++; {
	case strings.HasPrefix(text, "good"):
		return authn.Identity{Subject: text}, nil
	case text == "fault":
		return authn.Identity{}, errors.New("down")
	case text == "forbidden":
		return authn.Identity{}, authn.PermissionDenied("")
	}
	return authn.Identity{}, authn.AuthenticationFailed("Invalid key.")
}

func (*keyed) Challenge(*http.Request, error) string { return "Key" }
func (*keyed) Headers() []string                     { return []string{"Authorization"} }
func (*keyed) Formats() []authn.CredentialFormat     { return []authn.CredentialFormat{{Keyword: "Key"}} }

// door is a middleware with a limit of rejected credentials.
type door struct {
	c *clock
	k *keyed
	m *authn.Middleware
	h http.Handler
}

func newDoor(t testing.TB, o throttle.RefusalOptions) *door {
	t.Helper()
	k := new(keyed)
	d := newDoorOf(t, o, k)
	d.k = k
	return d
}

func newDoorOf(t testing.TB, o throttle.RefusalOptions, schemes ...authn.Authenticator) *door {
	t.Helper()
	d := &door{c: newClock()}
	o.Clock = d.c.now
	l, err := throttle.NewRefusals(&o)
	must(t, err)
	d.m = authn.New(authn.Chain(schemes), &authn.Options{Refusals: l, Logger: quiet})
	d.h = d.m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return d
}

func (d *door) ask(addr, credential string) *httptest.ResponseRecorder {
	r := from(addr)
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	return w
}

func (d *door) count(n int, addr, credential string) map[int]int {
	got := map[int]int{}
	for i := range n {
		got[d.ask(addr, strings.ReplaceAll(credential, "#", strconv.Itoa(i))).Code]++
	}
	return got
}

func TestRefusals_attack_267(t *testing.T) {
	const one, other = "192.0.2.1:1", "198.51.100.1:1"
	t.Run("edge_C18/refused credentials of one address", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{})
		if got := d.count(1000, one, "Key bad#"); got[401] != 120 || got[429] != 880 {
			t.Errorf("%v", got)
		}
		if got := d.count(10, other, "Key bad#"); got[401] != 10 {
			t.Errorf("another address: %v", got)
		}
		d.c.add(time.Minute)
		if got := d.count(130, one, "Key bad#"); got[401] != 120 {
			t.Errorf("a minute later: %v", got)
		}
	})
	t.Run("edge_C18/good ones are neither counted nor locked out", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{})
		if got := d.count(5000, one, "Key good#"); got[200] != 5000 {
			t.Fatalf("%v", got)
		}
		d.count(1000, one, "Key bad#")
		if got := d.count(100, one, "Key good-never-seen#"); got[200] != 100 {
			t.Errorf("from an address full of bad ones: %v", got)
		}
		if got := d.ask(one, ""); got.Code != 200 {
			t.Errorf("anonymous: %d", got.Code)
		}
	})
	t.Run("edge_C18/a flood is not checked", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{})
		d.ask(one, "Key good-before")
		d.count(130, one, "Key bad#")
		d.ask(one, "Key good-during")
		d.count(5000, one, "Key bad#")
		if d.k.asked > 1300 {
			t.Errorf("%d of 5,000 were checked", d.k.asked)
		}
		if got := d.ask(one, "Key good-during"); got.Code != 200 {
			t.Errorf("a credential that was accepted from there: %d", got.Code)
		}
		if got := d.ask(other, "Key good"); got.Code != 200 {
			t.Errorf("another network: %d", got.Code)
		}
		if got := d.ask(one, ""); got.Code != 200 {
			t.Errorf("anonymous: %d", got.Code)
		}
		if got := d.ask(one, "Key good-new"); got.Code != 429 || got.Header().Get("Retry-After") != "1" {
			t.Errorf("a new credential: %d", got.Code)
		}
		before := d.k.asked
		for range 60 {
			d.count(200, one, "Key bad#")
			d.c.add(time.Second)
		}
		if n := d.k.asked - before; n > 1300 {
			t.Errorf("%d were checked in the next minute", n)
		}
		d.c.add(time.Second)
		if got := d.ask(one, "Key good-new"); got.Code != 200 {
			t.Errorf("a second after the flood: %d", got.Code)
		}
	})
	t.Run("edge_C18/one network", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{})
		got := map[int]int{}
		for i := range 2000 {
			got[d.ask(fmt.Sprintf("[2001:db8:1:%x::1]:1", i), "Key bad").Code]++
		}
		if got[401] != 480 {
			t.Errorf("2,000 /64s of one /48: %v", got)
		}
	})
	t.Run("edge_C18/what is not counted", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{})
		for credential, want := range map[string]int{"": 200, "Key fault": 503, "Key forbidden": 403, "Unknown x": 200} {
			if got := d.count(500, one, credential); got[want] != 500 {
				t.Errorf("%q: %v", credential, got)
			}
		}
		if got := d.ask(one, "Key bad"); got.Code != 401 {
			t.Errorf("%d", got.Code)
		}
	})
	t.Run("edge_C18/endpoints that read their own credential", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{})
		err := authn.AuthenticationFailed("Invalid key.")
		d.h = d.m.Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, err) }))
		if got := d.count(200, one, "Key bad"); got[401]+got[403] != 120 || got[429] != 80 {
			t.Errorf("%v", got)
		}
		d = newDoor(t, throttle.RefusalOptions{})
		d.h = d.m.Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, authn.InvalidLogin()) }))
		if got := d.count(200, one, "Key stale"); got[429] != 0 {
			t.Errorf("a login with a stale credential beside it: %v", got)
		}
	})
	t.Run("attack_215_integers_and_nothing_of_others", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{})
		for i := range 480 { // the neighbours use up the network
			d.ask(fmt.Sprintf("192.0.2.%d:1", 10+i/100), "Key bad")
		}
		got := d.ask(one, "Key bad")
		if got.Code != 429 || got.Header().Get("Retry-After") != "1" || got.Header().Get("Vary") != "Authorization" || len(got.Header()) != 4 {
			t.Errorf("%d %v", got.Code, got.Header())
		}
	})
	t.Run("attack_210_bounded", func(t *testing.T) {
		if testing.Short() {
			t.Skip("nothing is concurrent")
		}
		d := newDoor(t, throttle.RefusalOptions{Limit: throttle.Rate{Limit: 1, Window: time.Hour}, Stop: throttle.Rate{Limit: 2, Window: time.Hour}})
		for i := range 30_000 {
			for range 3 {
				d.ask(v4(i, 1), "Key bad")
			}
		}
		if got := d.ask(other, "Key good"); got.Code != 200 {
			t.Errorf("%d", got.Code)
		}
	})
	for _, o := range []throttle.RefusalOptions{{Limit: throttle.Rate{Limit: -1, Window: time.Minute}}, {Stop: throttle.Rate{Limit: 1}}} {
		if _, err := throttle.NewRefusals(&o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}

}

// TestJunk is the last table of docs/simulations.md: 20,000 invalid credentials per second for ten
// seconds, and one new valid credential in each tenth of a second, from another network and from
// the first address of the attack.
func TestJunk(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	var table strings.Builder
	fmt.Fprintln(&table, "| 20,000 junk credentials a second from | checked a second | good new ones, elsewhere | good new ones, same address | good known ones, same address |")
	fmt.Fprintln(&table, "|---|---|---|---|---|")
	for _, x := range []struct {
		name    string
		from    func(i int) string
		checked int
	}{
		{"one address", func(int) string { return v4(0, 1) }, 200},
		{"256 /64s of one /56", func(i int) string { return v6(0, i%256) }, 600},
		{"20 addresses in 10 networks", func(i int) string { return v4(i%20, 2) }, 3000},
		{"a botnet of 1,000 addresses in 500 networks", func(i int) string { return v4(i%1000, 2) }, 20_100},
	} {
		t.Run("edge_A17/"+x.name, func(t *testing.T) {
			d := newDoor(t, throttle.RefusalOptions{})
			begin, first := d.c.now(), x.from(0)
			var elsewhere, here, known, n int
			d.count(130, first, "Key bad#")
			d.ask(first, "Key good-known")
			d.k.asked = 0
			for i := range 200_000 {
				d.c.set(begin.Add(time.Duration(i) * 50 * time.Microsecond))
				d.ask(x.from(i), "Key bad")
				if i%2000 != 1999 {
					continue
				}
				n++
				for _, y := range []struct {
					addr, credential string
					in               *int
				}{{"198.51.100.1:1", "Key good-a" + strconv.Itoa(i), &elsewhere}, {first, "Key good-b" + strconv.Itoa(i), &here}, {first, "Key good-known", &known}} {
					if d.ask(y.addr, y.credential).Code == 200 {
						*y.in++
					}
				}
			}
			if elsewhere != n || known != n || d.k.asked/10 > x.checked {
				t.Errorf("elsewhere %d of %d, known %d, %d checked a second", elsewhere, n, known, d.k.asked/10)
			}
			fmt.Fprintf(&table, "| %s | %d | %d of %d | %d of %d | %d of %d |\n", x.name, d.k.asked/10, elsewhere, n, here, n, known, n)
		})
	}
	agrees(t, "junk", table.String())
}

// The cost without an attack. The floor is the middleware without a limit.
func BenchmarkRefusals(b *testing.B) {
	l, err := throttle.NewRefusals(nil)
	must(b, err)
	for name, o := range map[string]*authn.Options{"floor": {Logger: quiet}, "limited": {Logger: quiet, Refusals: l}} {
		b.Run(name, func(b *testing.B) {
			h := authn.New(authn.Chain{new(keyed)}, o).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r, w := from("192.0.2.1:1"), &discard{h: http.Header{}}
			r.Header.Set("Authorization", "Key good")
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

// A credential is one mark, however it is spelled. So nobody can use it to evict the marks of
// others at the same address, who would then have to wait.
func Test_edge_C18_spellings(t *testing.T) {
	const addr = "192.0.2.1:1"
	d := newDoor(t, throttle.RefusalOptions{Limit: throttle.Rate{Limit: 5, Window: time.Minute}})
	d.count(10, addr, "Key bad#")
	if w := d.ask(addr, "Key good-owner"); w.Code != 200 {
		t.Fatalf("the owner: %d", w.Code)
	}
	for i := range 60_000 {
		keyword := []string{"Key", "kEY", "KEY"}[i%3]
		d.ask(addr, strings.Repeat(" ", i%7)+keyword+strings.Repeat(" ", 1+i%83)+"good-mine"+strings.Repeat("=", i%89))
	}
	d.count(100, addr, "Key bad#")
	if w := d.ask(addr, "Key good-fresh"); w.Code != 429 {
		t.Fatalf("a fresh one: %d", w.Code)
	}
	if w := d.ask(addr, "Key good-owner"); w.Code != 200 {
		t.Errorf("the owner: %d", w.Code)
	}
}

// A flood from one address, or from one customer's IPv6 network, does not block the neighbors' new
// credentials.
func Test_edge_A17_neighbors(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	for name, x := range map[string]struct {
		from     func(i int) string
		neighbor string
	}{
		"IPv4": {func(i int) string { return fmt.Sprintf("192.0.2.%d:1", 1+i%200) }, "192.0.2.250:1"},
		"IPv6": {func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", i%256) }, "[2001:db8:1:ff00::1]:1"},
	} {
		d := newDoor(t, throttle.RefusalOptions{})
		refused, asked := 0, 0
		for i := range 120_000 { // 1,000 a second
			d.c.add(time.Millisecond)
			d.ask(x.from(i), "Key bad"+strconv.Itoa(i))
			if i%15_000 == 14_567 {
				asked++
				if w := d.ask(x.neighbor, "Key good"+strconv.Itoa(i)); w.Code != 200 {
					refused++
				}
			}
		}
		if refused > 0 || d.k.asked > 120*160 {
			t.Errorf("%s: %d of %d refused, %d checked", name, refused, asked, d.k.asked)
		}
	}
}
