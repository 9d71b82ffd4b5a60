package throttle_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// floods uses up all limits of unknown callers at the victim's account.
func floods(s *sim) {
	for i := range 2000 {
		s.wrong(v4(i, 1), victim)
	}
}

// isKnown reports whether a right password is accepted although unknown callers have no units left.
func isKnown(s *sim, addr string, cookies ...*http.Cookie) bool {
	floods(s)
	_, ok := s.right(addr, victim, cookies...)
	return ok
}

func TestKnown(t *testing.T) {
	const home = "198.51.100.7:1"
	t.Run("edge_A11/a place is narrow", func(t *testing.T) {
		s := newSim(t)
		s.right("[2001:db8:1:200::1]:1", victim)
		if isKnown(s, "[2001:db8:1:201::1]:1") {
			t.Error("another /64 of the same /56 is known")
		}
		if !isKnown(s, "[2001:db8:1:200:aaaa::1]:1") {
			t.Error("another address of the same /64 is not known")
		}
	})
	t.Run("edge_A11/four accounts at a place, not five", func(t *testing.T) {
		s := newSim(t)
		s.right(home, victim)
		for i := range 3 {
			s.right(home, fmt.Sprint("\x00housemate", i))
		}
		if !isKnown(s, home) {
			t.Fatal("not known with four accounts")
		}
		s = newSim(t)
		s.right(home, victim)
		for i := range 4 {
			s.right(home, fmt.Sprint("\x00housemate", i))
		}
		if isKnown(s, home) {
			t.Error("known with five accounts")
		}
		s.c.add(91 * 24 * time.Hour) // the others moved out
		s.right(home, victim)
		if !isKnown(s, home) {
			t.Error("not known after 90 days without the others")
		}
	})
	t.Run("edge_A11/eight places, the last ones", func(t *testing.T) {
		s := newSim(t)
		for i := range 9 {
			s.right(fmt.Sprintf("198.51.%d.7:1", i), victim)
			s.c.add(time.Minute)
		}
		floods(s)
		for i := range 9 {
			if _, ok := s.right(fmt.Sprintf("198.51.%d.7:1", i), victim); ok != (i > 0) {
				t.Errorf("place %d of 9: known %t", i, ok)
			}
		}
	})
	t.Run("edge_A11/90 days", func(t *testing.T) {
		s := newSim(t)
		s.right(home, victim)
		s.c.add(89 * 24 * time.Hour)
		if !isKnown(s, home) {
			t.Error("not known after 89 days")
		}
		s.c.add(91 * 24 * time.Hour)
		if isKnown(s, home) {
			t.Error("known after 91 days")
		}
	})
	t.Run("edge_A11/eight devices, and clients without cookies push out none", func(t *testing.T) {
		s := newSim(t)
		phone, _ := s.right(home, victim)
		phone, _ = s.right("100.64.0.1:1", victim, phone...) // it came back
		for i := range 50 {
			s.right(fmt.Sprintf("203.0.%d.1:1", i), victim)
			s.c.add(time.Minute)
		}
		if !isKnown(s, "100.64.9.9:1", phone...) {
			t.Error("50 logins without cookies from other places push out a device")
		}
		s = newSim(t)
		devices := make([][]*http.Cookie, 9)
		for i := range devices {
			at := fmt.Sprintf("198.51.%d.7:1", i)
			devices[i], _ = s.right(at, victim)
			s.c.add(time.Minute)
			devices[i], _ = s.right(at, victim, devices[i]...)
			s.c.add(11 * time.Minute)
		}
		floods(s)
		n := 0
		for i, d := range devices {
			if _, ok := s.right(fmt.Sprintf("100.64.%d.1:1", i), victim, d...); ok {
				n++
			}
		}
		if n > 8 {
			t.Errorf("%d of 9 devices are known", n)
		}
	})
	t.Run("edge_A11/all that is known ends with the epoch", func(t *testing.T) {
		s := newSim(t)
		cookies, _ := s.right(home, victim)
		cookies, _ = s.right(home, victim, cookies...)
		s.epoch++
		if isKnown(s, home) || isKnown(s, home, cookies...) {
			t.Error("known at the next epoch")
		}
	})
	t.Run("edge_A11/another account of the same name", func(t *testing.T) {
		s := newSim(t)
		cookies, _ := s.right(home, victim)
		floods(s)
		a, err := s.l.Reserve(from(home, cookies...), victim)
		must(t, err)
		if err := a.(authn.AccountAttempt).Account(t.Context(), "id of somebody else", 0); err == nil {
			t.Error("a new account of the name inherits who is known")
		}
		a, err = s.l.Reserve(from(home, cookies...), victim)
		must(t, err)
		if err := a.(authn.AccountAttempt).Account(t.Context(), "", 0); err == nil {
			t.Error("known at an account that is gone")
		}
	})
	t.Run("edge_A11/all known callers together", func(t *testing.T) {
		s := newSim(t)
		var cookies [8][]*http.Cookie
		for i := range cookies {
			cookies[i], _ = s.right(fmt.Sprintf("198.51.%d.7:1", i), victim)
		}
		floods(s)
		before := s.tries
		for range 100 {
			for i := range cookies { // with the cookie and without
				s.wrong(fmt.Sprintf("198.51.%d.7:1", i), victim, cookies[i]...)
				s.wrong(fmt.Sprintf("198.51.%d.7:1", i), victim)
			}
		}
		if n := s.tries - before; n != 60 {
			t.Errorf("%d failures of known callers, want 60", n)
		}
	})
	t.Run("edge_A11/places leave a share to the devices", func(t *testing.T) {
		s := newSim(t)
		for i := range 4 {
			s.right(fmt.Sprintf("198.51.%d.7:1", i), victim)
		}
		cookies, _ := s.right(home, victim)
		floods(s)
		for i := range 1000 { // guests at the known places
			s.wrong(fmt.Sprintf("198.51.%d.7:1", i%4), victim)
		}
		for range 30 {
			if _, ok := s.right("100.64.0.1:1", victim, cookies...); !ok {
				t.Fatal("the owner's device is refused")
			}
			s.c.add(time.Minute)
		}
	})
	t.Run("edge_A11/right passwords beyond a rate count", func(t *testing.T) {
		s := newSim(t)
		in := 0
		for range 3600 {
			if _, ok := s.right(home, victim); ok {
				in++
			}
			s.c.add(time.Second)
		}
		if in < 120 || in > 240 {
			t.Errorf("%d right logins in an hour", in)
		}
		s = newSim(t)
		for range 24 * 60 {
			if _, ok := s.right(home, victim); !ok {
				t.Fatal("one a minute is refused")
			}
			s.c.add(time.Minute)
		}
	})
	t.Run("edge_A11/a fault of the queue costs nothing", func(t *testing.T) {
		s := newSim(t)
		for range 1000 {
			a := reserve(t, s.l, from(home), victim)
			a.Cancelled(t.Context())
			a.Cancelled(t.Context())
		}
	})
	t.Run("edge_A11/a proof without a password", func(t *testing.T) {
		s := newSim(t)
		floods(s)
		if _, ok := s.right(home, victim); ok {
			t.Fatal("a new place has units left")
		}
		if got := s.l.Vouch(from(home), victim, "", 0); got != nil {
			t.Error("vouched for nobody")
		}
		cookies := s.l.Vouch(from(home), victim, subjectOf(victim), 0)
		if _, ok := s.right(home, victim); !ok || len(cookies) != 1 {
			t.Errorf("not known after a proof, cookies %v", cookies)
		}
		if _, ok := s.right("100.64.0.1:1", victim, cookies...); !ok {
			t.Error("the device is not known")
		}
	})
	t.Run("edge_A11/without an address", func(t *testing.T) {
		s := newSim(t)
		s.right("@", victim)
		if isKnown(s, "@") {
			t.Error("all callers without an address are one known place")
		}
	})
}
