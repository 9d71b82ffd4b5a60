package session_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A login is never rejected because of the user's other sessions. It deletes the session that was
// unused for the longest time.
func TestManySessions(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		t.Run("attack_239", func(t *testing.T) {
			schemetest.Add(t, s, "alice")
			schemetest.Add(t, s, "bob")
			a := newApp(t, s, &session.Options{MaxSessions: 4})
			bob := a.login("bob")
			var all []string
			for i := range 4 {
				a.c.Set(time.Duration(i) * time.Hour)
				all = append(all, a.login("alice"))
			}
			a.take()
			a.c.Set(5 * time.Hour)
			if a.who(all[0]) != "session:id-alice" { // used since: the second one is the oldest now
				t.Fatal("the first session ended")
			}
			for i := range 3 {
				a.c.Set(time.Duration(6+i) * time.Hour)
				all = append(all, a.login("alice"))
			}
			if got := a.take(); got != strings.TrimSpace(strings.Repeat("session.created session.ended:limit login.succeeded ", 3)) {
				t.Errorf("events: %s", got)
			}
			for i, c := range all {
				if live := a.who(c) == "session:id-alice"; live != (i == 0 || i > 3) {
					t.Errorf("session %d lives: %v", i, live)
				}
			}
			if a.who(bob) != "session:id-bob" {
				t.Error("another user's session ended")
			}
		})
		t.Run("attack_239_at once", func(t *testing.T) {
			schemetest.Add(t, s, "carol")
			a := newApp(t, s, &session.Options{MaxSessions: 4})
			var wait sync.WaitGroup
			for range 24 {
				wait.Go(func() { a.login("carol") })
			}
			wait.Wait()
			list, err := a.x.Sessions(t.Context(), "id-carol", 100)
			if schemetest.Must(t, err); len(list) == 0 || len(list) > 4 {
				t.Errorf("%d sessions", len(list))
			}
		})
		t.Run("attack_239_remembered", func(t *testing.T) {
			schemetest.Add(t, s, "dave")
			a := newApp(t, s, &session.Options{MaxSessions: 3, Remember: &session.RememberOptions{}})
			var all []*browser
			for i := range 6 {
				a.c.Set(time.Duration(i) * time.Hour)
				b := &browser{a: a}
				b.send("POST", "/login", `{"username":"dave","password":"right","remember":true}`)
				if b.memo == "" {
					t.Fatal("is not remembered")
				}
				all = append(all, b)
			}
			for i, b := range all {
				want := "Unauthorized"
				if i > 2 {
					want = "session:id-dave"
				}
				if got := b.who(); got != want {
					t.Errorf("browser %d: %s", i, got)
				}
			}
			a.c.Set(20 * 24 * time.Hour) // the sessions have ended; what is remembered has not
			for i, b := range all {
				if got := b.who(); got == "session:id-dave" != (i > 2) {
					t.Errorf("browser %d comes back: %s", i, got)
				}
			}
		})
	})
}

// Sessions of a remembered login count too, and an evicted session is not restored by the remember
// cookie.
func TestManyReturns(t *testing.T) {
	t.Run("attack_239_returns", func(t *testing.T) {
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, &session.Options{MaxSessions: 3, Remember: &session.RememberOptions{}})
		b := &browser{a: a}
		b.send("POST", "/login", `{"username":"alice","password":"right","remember":true}`)
		for i := range 20 { // without a login
			a.c.Set(time.Duration(i) * time.Minute)
			b.session = ""
			if got := b.who(); got != "session:id-alice" {
				t.Fatalf("visit %d: %s", i, got)
			}
		}
		list, err := a.x.Sessions(t.Context(), "id-alice", 100)
		if schemetest.Must(t, err); len(list) > 3 {
			t.Errorf("%d sessions", len(list))
		}
	})
}

func TestSessionLimitDefaults(t *testing.T) {
	fill := func(t *testing.T, max, logins int) int {
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, &session.Options{MaxSessions: max})
		for i := range logins {
			a.c.Set(time.Duration(i) * time.Second)
			a.login("alice")
		}
		list, err := a.x.Sessions(t.Context(), "id-alice", 10_000)
		schemetest.Must(t, err)
		return len(list)
	}
	t.Run("attack_239_default", func(t *testing.T) {
		if got := fill(t, 0, 1010); got != 1000 {
			t.Errorf("%d sessions", got)
		}
	})
	if got := fill(t, session.NoLimit, 1010); got != 1010 {
		t.Errorf("NoLimit: %d sessions", got)
	}
	// If there are more sessions than a new limit, each login deletes some of them.
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	for i := range 500 {
		schemetest.Must(t, s.CreateSession(t.Context(), storage.Session{
			Digest: storage.DigestOf(fmt.Sprint(i)), ID: fmt.Sprint(i), Subject: "id-alice", Created: born, LastSeen: born, Expires: born.Add(time.Hour), Ends: born.Add(time.Hour),
		}, storage.Digest{}))
	}
	a := newApp(t, s, &session.Options{MaxSessions: 2})
	for range 6 {
		a.login("alice")
	}
	if list, err := a.x.Sessions(t.Context(), "id-alice", 1000); err != nil || len(list) != 2 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	for _, bad := range []int{-2, 1_000_001} {
		where, err := csrf.New(site, nil)
		schemetest.Must(t, err)
		if _, err := session.New(s, where, &session.Options{MaxSessions: bad}); err == nil {
			t.Errorf("MaxSessions %d was taken", bad)
		}
	}
}

// If the store fails after the login, the login is not rejected.
func TestSurplusStays(t *testing.T) {
	t.Run("attack_239_fault", func(t *testing.T) {
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		var log bytes.Buffer
		a := newApp(t, schemetest.Watch(s).Fail(errDown, "ListSessions"), &session.Options{MaxSessions: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if c := a.login("alice"); a.who(c) != "session:id-alice" || !strings.Contains(log.String(), "old sessions not ended") {
			t.Errorf("log: %s", &log)
		}
	})
}

// lists counts the sessions that lists return.
type lists struct {
	*memory.Store
	n int
}

func (l *lists) ListSessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	list, err := l.Store.ListSessions(ctx, subject, limit)
	l.n += len(list)
	return list, err
}

// failsToCount is a store that cannot count.
type failsToCount struct{ *memory.Store }

func (failsToCount) CountSessions(context.Context, string) (int, error) {
	return 0, errDown
}

// A login lists sessions only if there are too many.
func TestSurplusIsCounted(t *testing.T) {
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	s := &lists{Store: memory.New(nil)}
	schemetest.Add(t, s, "alice")
	start := func(rows session.Rows, log io.Writer) {
		t.Helper()
		x, err := session.New(rows, where, &session.Options{MaxSessions: 3, Logger: slog.New(slog.NewTextHandler(log, nil))})
		schemetest.Must(t, err)
		schemetest.Must(t, x.Start(httptest.NewRecorder(), httptest.NewRequest("POST", site+"/", nil), authn.Login{Subject: "id-alice"}))
	}
	for i, want := range []int{0, 0, 0, 4} {
		if start(s, io.Discard); s.n != want {
			t.Errorf("login %d read %d sessions, want %d", i, s.n, want)
		}
	}
	if list, err := s.Store.ListSessions(t.Context(), "id-alice", 10); err != nil || len(list) != 3 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	var log bytes.Buffer
	if start(failsToCount{s.Store}, &log); !strings.Contains(log.String(), "old sessions not ended") {
		t.Errorf("log: %s", &log)
	}
}
