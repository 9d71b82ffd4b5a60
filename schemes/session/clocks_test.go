package session_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A session that was used while a clock was ahead has its idle timeout from the next use after the
// clock is right. If the clock was far ahead, the session counts as expired.
func TestClockWasAhead_attack_331(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, &session.Options{Idle: time.Hour, Absolute: 10 * time.Hour})
		last := func() storage.Session {
			t.Helper()
			list, err := s.ListSessions(t.Context(), "id-alice", 10)
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			return list[0]
		}
		begin := func(at time.Duration) string {
			t.Helper()
			_, err := s.DeleteSessionsOf(t.Context(), "id-alice", "")
			schemetest.Must(t, err)
			a.c.Set(at)
			return a.login("alice")
		}
		t.Run("idle", func(t *testing.T) {
			mine := begin(0)
			a.c.Set(30 * time.Minute)
			for range 2 { // the second may be one that the middleware kept
				if got := a.who(mine); got != aliceIn {
					t.Fatal(got)
				}
			}
			a.c.Set(10 * time.Minute)
			for range 2 {
				if got := a.who(mine); got != aliceIn {
					t.Fatalf("set back: %s", got)
				}
			}
			if v := last(); !v.LastSeen.Equal(born.Add(10*time.Minute)) || !v.Expires.Equal(born.Add(70*time.Minute)) {
				t.Errorf("last seen %v, expires %v", v.LastSeen.Sub(born), v.Expires.Sub(born))
			}
			a.c.Set(70 * time.Minute)
			if got := a.who(mine); got != unauthorized {
				t.Errorf("an hour unused: %s", got)
			}
		})
		t.Run("an_hour", func(t *testing.T) {
			mine := begin(time.Hour)
			a.c.Set(0)
			if got := a.who(mine); got != aliceIn {
				t.Errorf("an hour ahead: %s", got)
			}
			mine = begin(time.Hour + time.Microsecond)
			a.c.Set(0)
			if got := a.who(mine); got != unauthorized {
				t.Errorf("more than an hour ahead: %s", got)
			}
			if list, err := a.x.Sessions(t.Context(), "id-alice", 10); err != nil || len(list) != 0 {
				t.Errorf("listed: %+v, %v", list, err)
			}
			if w := a.do("POST", "/logout", "", "Cookie", mine); w.Code != 204 {
				t.Errorf("logout: %d", w.Code)
			}
			a.c.Set(time.Hour)
			if got := a.who(mine); got != unauthorized {
				t.Errorf("logged out, and the clock has caught up: %s", got)
			}
		})
		t.Run("created", func(t *testing.T) {
			mine := begin(2 * time.Hour)
			if ok, err := s.TouchSession(t.Context(), last().Digest, born, born.Add(time.Hour), born.Add(2*time.Hour)); err != nil || !ok {
				t.Fatal(ok, err)
			}
			a.c.Set(0)
			if got := a.who(mine); got != unauthorized {
				t.Errorf("created two hours ahead: %s", got)
			}
		})
		t.Run("seen", func(t *testing.T) {
			mine := begin(0)
			if ok, err := s.TouchSession(t.Context(), last().Digest, born.Add(50*time.Minute), born.Add(5*time.Hour), born); err != nil || !ok {
				t.Fatal(ok, err)
			}
			if ok, err := s.TouchSession(t.Context(), last().Digest, born.Add(2*time.Hour), born.Add(5*time.Hour), born.Add(time.Hour)); err != nil || !ok {
				t.Fatal(ok, err)
			}
			if got := a.who(mine); got != unauthorized {
				t.Errorf("last seen two hours ahead: %s", got)
			}
		})
	})
}

// A sealed cookie from a clock that was ahead is sealed again immediately, or rejected.
func TestSealedWasAhead_attack_331(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a, _ := newSealed(t, nil, s, session.SealedOptions{Options: session.Options{Idle: time.Hour, Absolute: 3 * time.Hour, Interval: 10 * time.Minute}})
	a.c.Set(30 * time.Minute)
	mine := a.login("alice")
	a.c.Set(0)
	w := a.do("GET", "/", "", "Cookie", mine)
	next := cookie(w)
	if w.Code != 200 || next == "" {
		t.Fatalf("%d, sealed again: %t", w.Code, next != "")
	}
	a.c.Set(time.Hour)
	if got := a.who(next); got != unauthorized {
		t.Errorf("an hour unused: %s", got)
	}
	a.c.Set(time.Hour + time.Second)
	mine = a.login("alice")
	a.c.Set(0)
	if got := a.who(mine); got != unauthorized {
		t.Errorf("more than an hour ahead: %s", got)
	}
}

// A kept identity is authenticated again when the clock is set back.
func TestKeptWasAhead_attack_331(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, lasting{s}, &session.Options{Idle: time.Hour, Absolute: 10 * time.Hour, Interval: 45 * time.Minute})
	a.c.Set(30 * time.Minute)
	mine := a.login("alice")
	for _, at := range []time.Duration{30 * time.Minute, 0} {
		a.c.Set(at)
		if got := a.who(mine); got != aliceIn {
			t.Fatalf("at %v: %s", at, got)
		}
	}
	if list, err := s.ListSessions(t.Context(), "id-alice", 10); err != nil || len(list) != 1 || !list[0].LastSeen.Equal(born) {
		t.Errorf("%+v, %v", list, err)
	}
}
