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

// Known credentials of an address with invalid ones stay known, whatever a network with many
// addresses sends, and whatever an address with many accounts sends.
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

// anyName accepts the password "Pw" of any name, with Basic.
func anyName(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Basic", "basic")
	if err != nil {
		return authn.Identity{}, err
	}
	if b, _ := base64.StdEncoding.DecodeString(text); strings.HasSuffix(string(b), ":Pw") {
		return authn.Identity{Subject: "1"}, nil
	}
	return authn.Identity{}, authn.AuthenticationFailed("")
}

// Different spellings of a name in Basic are the same credential.
func TestRefusalsSpellingsOfBasic_attack_347(t *testing.T) {
	d := newDoorOf(t, throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}}, authn.Func(anyName))
	ask := func(text string) int {
		return d.ask("192.0.2.1:9", "Basic "+base64.StdEncoding.EncodeToString([]byte(text))).Code
	}
	junk := func() {
		for i := range 50 {
			ask("x:" + strconv.Itoa(i))
		}
	}
	junk()
	d.c.add(time.Second)
	ask("alice:Pw")
	junk()
	for text, want := range map[string]int{"alice:Pw": 200, "ALICE:Pw": 200, "aLice:Pw": 200, "alice:pw": 429, "alicf:Pw": 429, strings.Repeat("a", 9): 429} {
		if got := ask(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
