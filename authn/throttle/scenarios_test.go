package throttle_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// v4 is the address of number i, perNet of them in each /24.
func v4(i, perNet int) string {
	net := i / perNet
	return fmt.Sprintf("%d.%d.%d.%d:1", 11+net>>16, net>>8&255, net&255, 1+i%perNet*16%250)
}

// Attacks. Three attacks with many attempts take half an hour, in which they reach the same limits.
// A botnet has two addresses in each /24, in different /28s.
var scenarios = []scenario{
	{name: "one address, a try every 15 s", hours: 6, every: 15 * time.Second, try: func(s *sim, i int) { s.wrong("203.0.113.1:1", victim) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 60) }},
	{name: "one address, 20 tries a second", hours: 1, every: 50 * time.Millisecond, try: func(s *sim, i int) { s.wrong("203.0.113.1:1", victim) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 30) }},
	{name: "one address, a try every 4 minutes", hours: 24, every: 4 * time.Minute, try: func(s *sim, i int) { s.wrong("203.0.113.1:1", victim) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 80) }},
	{name: "34 /64s of one /56, 1,000 invented names at the same time, then 20 a second", hours: 1, every: 50 * time.Millisecond,
		before: func(s *sim) {
			for i := range 1000 {
				s.wrong(v6(0, i%34), fmt.Sprint("\x00invented", i))
			}
		},
		try:   func(s *sim, i int) { s.wrong(v6(0, i%34), fmt.Sprint("\x00invented", i)) },
		check: func(t *testing.T, r results) { everybody(t, r) }},
	{name: "one /56, 256 /64s, 20 a second", hours: 1, every: 50 * time.Millisecond, try: func(s *sim, i int) { s.wrong(v6(0, i%256), victim) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 30) }},
	{name: "one /48, 65,536 /64s, 20 a second", hours: 1, every: 50 * time.Millisecond, try: func(s *sim, i int) { s.wrong(v6(i*257%256, i%256), victim) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 80) }},
	{name: "20 addresses in 10 networks, a try a second", hours: 6, every: time.Second, try: func(s *sim, i int) { s.wrong(v4(i%20, 2), victim) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 500) }},
	{name: "1,000 addresses in 500 networks, a try a second", hours: 6, every: time.Second, try: func(s *sim, i int) { s.wrong(v4(i%1000, 2), victim) },
		check: func(t *testing.T, r results) { known(t, r); atMost(t, r, 600) }},
	{name: "a botnet of 10,000 addresses in 5,000 networks, 20 a second", hours: 1, every: 50 * time.Millisecond, try: func(s *sim, i int) { s.wrong(v4(i%10_000, 2), victim) },
		check: func(t *testing.T, r results) { known(t, r); atMost(t, r, 600) }},
	{name: "the same botnet, each address once a day", hours: 24, every: 8640 * time.Millisecond, try: func(s *sim, i int) { s.wrong(v4(i%10_000, 2), victim) },
		check: func(t *testing.T, r results) { known(t, r); atMost(t, r, 900) }},
	{name: "the same botnet, 40 a second, invented names", hours: 0.5, every: 25 * time.Millisecond,
		try:   func(s *sim, i int) { s.wrong(v4(i%10_000, 2), fmt.Sprint("\x00invented", i)) },
		check: func(t *testing.T, r results) { known(t, r) }},
	{name: "1,000 addresses, 40 a second, invented names", hours: 0.5, every: 25 * time.Millisecond,
		try:   func(s *sim, i int) { s.wrong(v4(i%1000, 2), fmt.Sprint("\x00invented", i)) },
		check: func(t *testing.T, r results) { known(t, r) }},
	{name: "one address tries one password at each of 10,000 accounts, 1 a second", hours: 1, every: time.Second,
		try:   func(s *sim, i int) { s.wrong("203.0.113.1:1", fmt.Sprint("\x00user", i%10_000)) },
		check: func(t *testing.T, r results) { everybody(t, r) }},
	{name: "carrier NAT: 1,000 customers share the home address, and one of them tries every second", hours: 6, every: time.Second,
		before: func(s *sim) {
			for i := range 1000 {
				s.right("198.51.100.7:2", fmt.Sprint("\x00customer", i))
				s.c.add(time.Minute / 10)
			}
		},
		try:   func(s *sim, i int) { s.wrong("198.51.100.7:3", victim) },
		check: func(t *testing.T, r results) { all(t, r, newcomer, device, traveller); atMost(t, r, 60) }},
	{name: "a guest at the home address (4 accounts) tries every second", hours: 6, every: time.Second,
		try:   func(s *sim, i int) { s.wrong("198.51.100.7:3", victim) },
		check: func(t *testing.T, r results) { all(t, r, newcomer, device, traveller); atMost(t, r, 300) }},
	{name: "an address in the same /56 as the home address tries every second", hours: 6, every: time.Second, owner: func(int) string { return v6(0, 200) },
		try:   func(s *sim, i int) { s.wrong(v6(0, i%100), victim) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 60) }},
	{name: "an attacker with 300 device cookies of their own account: 10 wrong tries a minute with each, at that account", hours: 0.5, every: 20 * time.Millisecond,
		before: ownCookies, try: func(s *sim, i int) { s.wrong("203.0.113.1:1", "\x00mallory", s.minted[i%len(s.minted)]...) },
		check: func(t *testing.T, r results) { everybody(t, r) }},
	{name: "an attacker with the same 300 device cookies, at the victim's account", hours: 1, every: 20 * time.Millisecond,
		before: ownCookies, try: func(s *sim, i int) { s.wrong("203.0.113.1:1", victim, s.minted[i%len(s.minted)]...) },
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 30) }},
	{name: "for 10 minutes strangers know the password and log in from 100 addresses, with 1,000 cookies; then the owner changes it at the known address", hours: 1, every: 50 * time.Millisecond,
		before: func(s *sim) {
			s.minted = nil
			for i := range 1000 {
				c, _ := s.right(v4(i%100, 1), victim)
				s.minted = append(s.minted, c)
				s.c.add(600 * time.Millisecond)
			}
			s.epoch++
			s.l.Vouch(from("198.51.100.7:1"), victim, subjectOf(victim), s.epoch) // as password.Checker.ChangePassword does
		},
		try: func(s *sim, i int) { s.wrong(v4(i%100, 1), victim, s.minted[i%len(s.minted)]...) },
		check: func(t *testing.T, r results) {
			all(t, r, home)
			atMost(t, r, 300)
			if r.in[device] < r.of[device]-1 {
				t.Errorf("the device was let in %d of %d times", r.in[device], r.of[device])
			}
		}},
	{name: "a login to another account space under the victim's name", hours: 1, every: time.Second,
		before: func(s *sim) {
			c, _ := s.right("203.0.113.1:1", "shop"+victim)
			s.minted = [][]*http.Cookie{c}
		},
		try: func(s *sim, i int) {
			s.wrong("203.0.113.1:1", victim, s.minted[0]...)
			s.wrong("203.0.113.1:1", "shop"+victim)
		},
		check: func(t *testing.T, r results) { everybody(t, r); atMost(t, r, 30) }},
}

func ownCookies(s *sim) {
	s.minted = nil
	for range 300 {
		c, _ := s.right("203.0.113.1:1", "\x00mallory")
		s.minted = append(s.minted, c)
		s.c.add(600 * time.Millisecond)
	}
}

// v6 returns an address in the /48 2001:db8:1::, with that /56 and that /64.
func v6(n56, n64 int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", n56<<8|n64) }
