package throttle_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// The credentials that are known while others of their address send junk stay known, whatever one
// network sends that has many addresses, and whatever one address sends that has many accounts.
func TestRefusalsKnownCredentials_attack_347(t *testing.T) {
	const nat = "198.51.100.1:9"
	for name, from := range map[string]func(i int) string{
		"one IPv6 /48":                     func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:9", i) },
		"one IPv6 /32":                     func(i int) string { return fmt.Sprintf("[2001:db8:%x::1]:9", i) },
		"the neighbors of the address":     func(i int) string { return fmt.Sprintf("198.51.100.%d:9", 2+i%250) },
		"another network of the same /16":  func(i int) string { return fmt.Sprintf("198.51.%d.%d:9", 101+i%100, i%250) },
		"one other address, many accounts": func(int) string { return "192.0.2.1:9" },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}, Networks: [3]int{1, 1, 1}})
			d.count(50, nat, "Key bad#")
			d.c.add(2 * time.Second)
			if w := d.ask(nat, "Key good-victim"); w.Code != 200 {
				t.Fatalf("%d", w.Code)
			}
			for i := range 12_000 {
				if i%4000 == 0 { // the network is over its limit, and not paused
					d.c.add(time.Minute)
					d.count(50, nat, "Key bad#")
					for j := range 12 {
						d.ask(from(i+300*j), "Key bad")
					}
					d.c.add(2 * time.Second)
				}
				d.ask(from(i), "Key good"+strconv.Itoa(i))
			}
			d.count(50, nat, "Key bad#")
			if w := d.ask(nat, "Key good-other"); w.Code != 429 {
				t.Fatalf("the address is not paused: %d", w.Code)
			}
			if w := d.ask(nat, "Key good-victim"); w.Code != 200 {
				t.Errorf("the known credential: %d", w.Code)
			}
		})
	}
}

// The spellings of a name in Basic are one credential.
func TestRefusalsSpellingsOfBasic_attack_347(t *testing.T) {
	c := newClock()
	l, err := throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}, Clock: c.now})
	must(t, err)
	ask := func(text string) *http.Request {
		r := from("192.0.2.1:9")
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
		return r
	}
	junk := func() {
		for i := range 50 {
			if r := ask("x:" + strconv.Itoa(i)); l.Admit(r) == nil {
				_ = l.Refused(r, authn.AuthenticationFailed(""))
			}
		}
	}
	junk()
	l.Accepted(ask("alice:Pw"))
	for text, want := range map[string]bool{"alice:Pw": true, "ALICE:Pw": true, "aLice:Pw": true, "alice:pw": false, "alicf:Pw": false, strings.Repeat("a", 9): false} {
		if err := l.Admit(ask(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
