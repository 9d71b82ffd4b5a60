package authn_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// guessed is a middleware with a Keeper of passwords. The right one is "right".
type guessed struct {
	*keeper
	h http.Handler
}

func newGuessed(opts *authn.Options) *guessed {
	if opts == nil {
		opts = &authn.Options{}
	}
	opts.Logger = quiet
	k := newKeeper()
	k.guessable = true
	k.good = func(text string) bool { return text == "right" || text == "also" }
	return &guessed{k, authn.New(k, opts).Handler(http.HandlerFunc(who))}
}

// from sends a password from an address, and returns the status and whether the scheme was called.
func (g *guessed) from(remote, password string, headers ...string) (status int, asked bool) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remote
	r.Header.Set("Authorization", password)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w, before := httptest.NewRecorder(), g.asked.Load()
	g.h.ServeHTTP(w, r)
	return w.Code, g.asked.Load() > before
}

// A password is kept for the client address that sent it. From another address, each password that
// was not verified from there is passed to the scheme, and therefore to its limiter.
func TestGuessableAddress(t *testing.T) {
	g := newGuessed(nil)
	is := func(remote string, kept bool) {
		t.Helper()
		if status, asked := g.from(remote, "right"); status != 200 || asked == kept {
			t.Errorf("%s: %d, called %t", remote, status, asked)
		}
	}
	is("192.0.2.1:1", false)
	is("192.0.2.1:65535", true)
	is("192.0.2.11:1", false)
	is("192.0.2.1:2", true)
	is("192.0.2.2:1", false)
	is("[2001:db8::1]:1", false)
	is("[2001:db8::2]:2", true) // one /64
	is("[2001:db8:0:1::1]:1", false)
	for _, unknown := range []string{"", "@", "pipe", "192.0.2.1", "192.0.2.1:x", "1.2.3.4.5:1", "300.0.2.1:1"} {
		if unknown == "192.0.2.1" { // an address without a port
			continue
		}
		for range 2 {
			is(unknown, false)
		}
	}
}

// The address is the client address, behind trusted proxies.
func TestGuessableBehindProxy(t *testing.T) {
	g := newGuessed(&authn.Options{Proxies: must1(authn.NewTrustedProxies("10.0.0.0/8"))(t)})
	is := func(client string, kept bool) {
		t.Helper()
		if status, asked := g.from("10.0.0.1:1", "right", "X-Forwarded-For", client); status != 200 || asked == kept {
			t.Errorf("%s: %d, called %t", client, status, asked)
		}
	}
	is("192.0.2.1", false)
	is("192.0.2.1", true)
	is("192.0.2.2", false)
	is("192.0.2.1", true)
	if status, _ := g.from("10.0.0.1:1", "wrong", "X-Forwarded-For", "192.0.2.2"); status != 401 {
		t.Error(status)
	}
	is("192.0.2.1", true)
	is("192.0.2.2", false)
	if status, asked := g.from("192.0.2.3:1", "right", "X-Forwarded-For", "192.0.2.1"); status != 200 || !asked {
		t.Error("a client that names another address")
	}
}

// A wrong guess removes the kept identities of its address, whatever its result, and of no other
// address.
func TestGuessableEnds(t *testing.T) {
	for name, wrong := range map[string]func(*guessed){
		"refused": func(g *guessed) { g.from("192.0.2.1:9", "wrong") },
		"limited": func(g *guessed) {
			g.err = &authn.Error{Status: 429, Code: "throttled", Detail: "Later."}
			g.from("192.0.2.1:9", "wrong")
			g.err = nil
		},
		"a client that goes away": func(g *guessed) { // it guessed all the same
			g.err = errors.New("context canceled")
			g.from("192.0.2.1:9", "wrong")
			g.err = nil
		},
		"panic": func(g *guessed) {
			good := g.good
			g.good = func(string) bool { panic("x") }
			g.from("192.0.2.1:9", "wrong")
			g.good = good
		},
	} {
		g := newGuessed(nil)
		for _, remote := range []string{"192.0.2.1:1", "192.0.2.2:1"} {
			g.from(remote, "right")
			g.from(remote, "also")
		}
		if _, asked := g.from("192.0.2.1:1", "right"); asked {
			t.Fatal("not kept")
		}
		wrong(g)
		for _, password := range []string{"right", "also"} {
			if status, asked := g.from("192.0.2.1:1", password); status != 200 || !asked {
				t.Errorf("%s: %s: %d, called %t after a wrong guess", name, password, status, asked)
			}
			if _, asked := g.from("192.0.2.2:1", password); asked {
				t.Errorf("%s: a guess at one address ended what is kept of another", name)
			}
			if _, asked := g.from("192.0.2.1:1", password); asked {
				t.Errorf("%s: %s is not kept again", name, password)
			}
		}
	}
}

// While a guess is checked, the table answers no other guess from that address, so the limiter
// counts each of many concurrent guesses.
func TestGuessableAtOnce(t *testing.T) {
	t.Run("attack_107_many_guesses_at_once", func(t *testing.T) {
		g := newGuessed(nil)
		g.from("192.0.2.1:1", "right")
		hold, entered := make(chan struct{}), make(chan struct{}, 1)
		good := g.good
		g.good = func(text string) bool {
			if text == "wrong" {
				entered <- struct{}{}
				<-hold
			}
			return good(text)
		}
		var wg sync.WaitGroup
		wg.Go(func() { g.from("192.0.2.1:2", "wrong") })
		<-entered
		for range 3 {
			if status, asked := g.from("192.0.2.1:3", "right"); status != 200 || !asked {
				t.Errorf("%d, called %t while a guess is checked", status, asked)
			}
		}
		close(hold)
		wg.Wait()
		if _, asked := g.from("192.0.2.1:3", "right"); !asked {
			t.Error("kept after a wrong guess")
		}
		if _, asked := g.from("192.0.2.1:3", "right"); asked {
			t.Error("not kept again")
		}
	})
}

// The first of many concurrent requests is kept in the end, and another right password suspends
// nothing for long.
func TestGuessableConcurrent(t *testing.T) {
	g := newGuessed(nil)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 50 {
				if status, _ := g.from("192.0.2.1:1", []string{"right", "also"}[i%2]); status != 200 {
					t.Error(status)
				}
			}
		})
	}
	wg.Wait()
	for _, password := range []string{"right", "also"} {
		g.from("192.0.2.1:1", password)
		if _, asked := g.from("192.0.2.1:1", password); asked {
			t.Errorf("%s is not kept", password)
		}
	}
}

// Identities that a wrong guess removed do not stay in memory.
func TestGuessableSweeps(t *testing.T) {
	table := must1(authn.NewTable(&authn.TableOptions{Entries: 16}))(t)
	g := newGuessed(&authn.Options{Table: table})
	g.good = func(text string) bool { return text != "wrong" }
	for i := range 8 {
		g.from("192.0.2.1:1", fmt.Sprint("right", i))
	}
	before := table.Usage().Entries
	g.from("192.0.2.1:1", "wrong")
	for i := range 8 { // four places each
		g.from("192.0.2.2:1", fmt.Sprint("right", i))
	}
	if after := table.Usage().Entries; before < 5 || after > 8 {
		t.Errorf("%d entries, %d before", after, before)
	}
}

// A wrong guess in an unsafe request of an ambient scheme, for which the table is not used, removes
// its entries too.
func TestGuessableAmbient(t *testing.T) {
	g := newGuessed(nil)
	a := &ambient{g.keeper, []string{"Authorization"}, true}
	g.h = authn.New(a, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who))
	for range 2 {
		g.from("192.0.2.1:1", "right")
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = "192.0.2.1:1"
	r.Header.Set("Authorization", "wrong")
	g.h.ServeHTTP(httptest.NewRecorder(), r)
	if _, asked := g.from("192.0.2.1:1", "right"); !asked {
		t.Error("kept after a wrong guess")
	}
}
