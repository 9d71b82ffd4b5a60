package knox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// fill stores n tokens of alice, each created a second after the previous one.
func fill(t *testing.T, s store, n int, expires func(i int) time.Time) {
	t.Helper()
	create := func(ctx context.Context) error {
		for i := range n {
			_, err := s.CreateCredential(ctx, storage.Credential{
				Purpose: knox.Purpose, Digest: storage.DigestOf(fmt.Sprint("filled ", i)), ID: fmt.Sprint(i), Subject: "id-alice", Created: born.Add(time.Duration(i-2*n) * time.Second), Expires: expires(i),
			}, storage.CredentialLimit{})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if tx, ok := s.(storage.Transactor); ok {
		schemetest.Must(t, tx.InTx(t.Context(), create))
	} else {
		schemetest.Must(t, create(t.Context()))
	}
}

// login logs alice in with the endpoint.
func loggedIn(t *testing.T, x *knox.Scheme, s store) {
	t.Helper()
	if w := schemetest.Do(x.Login(schemetest.Anyone{Subject: "id-alice", Epochs: s}), schemetest.Post(login)); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

func held(t *testing.T, s store) map[string]bool {
	t.Helper()
	list, err := s.ListCredentials(t.Context(), knox.Purpose, "id-alice", 10_000)
	schemetest.Must(t, err)
	ids := map[string]bool{}
	for _, tok := range list {
		ids[tok.ID] = true
	}
	return ids
}

// A login is not rejected because the user has many tokens: it revokes the oldest.
func TestManyLogins(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		t.Run("attack_239", func(t *testing.T) {
			schemetest.Add(t, s, "alice")
			fill(t, s, 1000, func(int) time.Time { return time.Time{} })
			c, j := &schemetest.Clock{}, &schemetest.Journal{}
			x := scheme(t, s, &knox.Options{Clock: c.Now, Audit: audit.To(j.Observe)})
			for i := range 3 {
				c.Set(time.Duration(i) * time.Second)
				loggedIn(t, x, s)
			}
			ids := held(t, s)
			if len(ids) != 1000 || ids["0"] || ids["1"] || ids["2"] || !ids["3"] {
				t.Errorf("%d tokens; 0 %v, 2 %v, 3 %v", len(ids), ids["0"], ids["2"], ids["3"])
			}
			evicted := 0
			for _, e := range j.Events() {
				if e.Kind == audit.TokenEvicted {
					evicted++
				}
			}
			if evicted != 3 {
				t.Errorf("%d events", evicted)
			}
			issue(t, x, "id-alice", knox.Token{}) // the program's own are not counted
			if ids := held(t, s); len(ids) != 1001 || !ids["3"] {
				t.Errorf("%d tokens", len(ids))
			}
		})
	})
	t.Run("attack_239_expired", func(t *testing.T) { // they go before any live one
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		fill(t, s, 1005, func(i int) time.Time {
			if i == 0 {
				return time.Time{}
			}
			return born.Add(-time.Hour)
		})
		c := &schemetest.Clock{}
		x := scheme(t, s, &knox.Options{Clock: c.Now})
		for range 3 {
			loggedIn(t, x, s)
		}
		if ids := held(t, s); len(ids) > 1000 || !ids["0"] || ids["1"] {
			t.Errorf("%d tokens; 0 %v, 1 %v", len(ids), ids["0"], ids["1"])
		}
	})
	t.Run("limits", func(t *testing.T) {
		for limit, want := range map[int]int{knox.NoLimit: 1011, 2000: 1011} {
			s := memory.New(nil)
			schemetest.Add(t, s, "alice")
			fill(t, s, 1010, func(int) time.Time { return time.Time{} })
			loggedIn(t, scheme(t, s, &knox.Options{Limit: limit}), s)
			if got := len(held(t, s)); got != want {
				t.Errorf("Limit %d: %d tokens", limit, got)
			}
		}
		for _, bad := range []knox.Options{{Limit: -2}, {Limit: knox.NoLimit, EvictOldest: true}} {
			if _, err := knox.New(memory.New(nil), &bad); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	})
}

// A store failure after the login does not reject the login.
func TestSurplusStays(t *testing.T) {
	t.Run("attack_239_fault", func(t *testing.T) {
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		var log bytes.Buffer
		loggedIn(t, scheme(t, schemetest.Watch(s).Fail(errors.New("the database is down"), "ListCredentials"), &knox.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}), s)
		if len(held(t, s)) != 1 || !strings.Contains(log.String(), "old tokens not revoked") {
			t.Errorf("log: %s", &log)
		}
	})
}

// lists counts the tokens that lists return.
type lists struct {
	*memory.Store
	n int
}

func (l *lists) ListCredentials(ctx context.Context, purpose, subject string, limit int) ([]storage.Credential, error) {
	list, err := l.Store.ListCredentials(ctx, purpose, subject, limit)
	l.n += len(list)
	return list, err
}

// failsToCount is a store that cannot count.
type failsToCount struct{ *memory.Store }

func (failsToCount) CountCredentials(context.Context, string, string) (int, error) {
	return 0, errors.New("the database is down")
}

// A login lists tokens only if there are too many.
func TestSurplusIsCounted(t *testing.T) {
	s := &lists{Store: memory.New(nil)}
	schemetest.Add(t, s, "alice")
	fill(t, s, 998, func(int) time.Time { return time.Time{} })
	c := &schemetest.Clock{}
	x := scheme(t, s, &knox.Options{Clock: c.Now})
	for i, want := range []int{0, 0, 1001} {
		c.Set(time.Duration(i) * time.Second)
		loggedIn(t, x, s)
		if s.n != want {
			t.Errorf("login %d read %d tokens, want %d", i, s.n, want)
		}
	}
	if ids := held(t, s.Store); len(ids) != 1000 || ids["0"] || !ids["1"] {
		t.Errorf("%d tokens; 0 %v, 1 %v", len(ids), ids["0"], ids["1"])
	}
	var log bytes.Buffer
	loggedIn(t, scheme(t, failsToCount{s.Store}, &knox.Options{Clock: c.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))}), s.Store)
	if !strings.Contains(log.String(), "old tokens not revoked") {
		t.Errorf("log: %s", &log)
	}
}
