package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// meanwhile is a store in which something happens before a session is replaced, the given number of
// times.
type meanwhile struct {
	store
	times int
	f     func()
}

func (s *meanwhile) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	if s.times > 0 && !replaces.IsZero() {
		s.times--
		s.f()
	}
	return s.store.CreateSession(ctx, v, replaces)
}

// counter is a browser whose session has a number.
type counter struct {
	a       *app
	cookies map[string]string
}

// do runs f in a request of the browser and takes the cookies of the response.
func (c *counter) do(f func(http.ResponseWriter, *http.Request) error) {
	c.a.t.Helper()
	var pairs []string
	for name, value := range c.cookies {
		pairs = append(pairs, name+"="+value)
	}
	w := httptest.NewRecorder()
	authn.New(authn.Chain{c.a.x}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		schemetest.Must(c.a.t, f(w, r))
	})).ServeHTTP(w, c.a.request("POST", "/", "", "Cookie", strings.Join(pairs, "; ")))
	if w.Code != 200 {
		c.a.t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, set := range w.Result().Cookies() {
		c.cookies[set.Name] = set.Value
	}
}

// add adds 1 to the number.
func (c *counter) add(w http.ResponseWriter, r *http.Request) error {
	v, err := c.a.x.Store().Get(r, "session")
	if err != nil {
		return err
	}
	n, _ := v.Values["n"].(int)
	v.Values["n"] = n + 1
	return v.Save(r, w)
}

func (c *counter) number() (n int) {
	c.a.t.Helper()
	c.do(func(_ http.ResponseWriter, r *http.Request) error {
		v, err := c.a.x.Store().Get(r, "session")
		n, _ = v.Values["n"].(int)
		return err
	})
	return n
}

// Other requests save data while a request replaces their session. What was acknowledged is in the
// new session.
func TestReplacedSessionKeepsSaves_attack_448(t *testing.T) {
	login := authn.Login{Subject: "id-alice", Name: "alice"}
	for name, test := range map[string]struct {
		visitor bool // when the session is replaced
		f       func(*app, http.ResponseWriter, *http.Request) error
	}{
		"regenerate":                   {false, func(a *app, w http.ResponseWriter, r *http.Request) error { return a.x.Regenerate(w, r) }},
		"login":                        {false, func(a *app, w http.ResponseWriter, r *http.Request) error { return a.x.Start(w, r, login) }},
		"a visitor's login":            {true, func(a *app, w http.ResponseWriter, r *http.Request) error { return a.x.Start(w, r, login) }},
		"a visitor's remembered login": {true, func(a *app, w http.ResponseWriter, r *http.Request) error { return a.x.StartRemembered(w, r, login) }},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s store) {
				schemetest.Add(t, s, "alice")
				db := &meanwhile{store: s}
				a := remembering(t, db, session.RememberOptions{})
				c := &counter{a, map[string]string{}}
				if !test.visitor {
					c.do(func(w http.ResponseWriter, r *http.Request) error { return a.x.Start(w, r, login) })
				}
				c.do(c.add)
				db.times, db.f = 3, func() { c.do(c.add) }
				c.do(func(w http.ResponseWriter, r *http.Request) error { return test.f(a, w, r) })
				if n := c.number(); n != 4 || db.times != 0 {
					t.Errorf("4 saves were acknowledged, and the session has %d", n)
				}
			})
		})
	}
}

// The same for the session of a visitor whose remember cookie creates the next one.
func TestRememberedSessionKeepsSaves_attack_448(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		db := &meanwhile{store: s}
		a := remembering(t, db, session.RememberOptions{})
		b := visit(t, a, "alice")
		name, memo, _ := strings.Cut(b.memo, "=")
		c := &counter{a, map[string]string{}}
		c.do(c.add) // as a visitor: the browser has lost the session cookie
		c.cookies[name] = memo
		db.times, db.f = 2, func() { // the remember cookie is not sent, as by a request that began before
			now := c.cookies[name]
			delete(c.cookies, name)
			c.do(c.add)
			c.cookies[name] = now
		}
		if n := c.number(); n != 3 || db.times != 0 {
			t.Errorf("3 saves were acknowledged, and the session has %d", n)
		}
		if n := c.number(); n != 3 || len(c.cookies) != 2 {
			t.Errorf("later it has %d", n)
		}
	})
}

// A session that is saved all the time is replaced all the same, or the error says so.
func TestReplaceIsBounded(t *testing.T) {
	s := memory.New(&memory.Options{Clock: schemetest.Born})
	schemetest.Add(t, s, "alice")
	db := &meanwhile{store: s}
	a := newApp(t, db, nil)
	c := &counter{a, map[string]string{}}
	c.do(func(w http.ResponseWriter, r *http.Request) error {
		return a.x.Start(w, r, authn.Login{Subject: "id-alice", Name: "alice"})
	})
	db.times, db.f = 1000, func() { c.do(c.add) }
	c.do(func(w http.ResponseWriter, r *http.Request) error {
		if err := a.x.Regenerate(w, r); err != storage.ErrConflict {
			t.Errorf("%v", err)
		}
		return nil
	})
	if tries := 1000 - db.times; tries != 100 || c.number() != tries {
		t.Errorf("%d attempts", tries)
	}
}

// A password change keeps what was saved since the request was authenticated, by itself and by
// others.
func TestKeepKeepsSaves_attack_448(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, nil)
		c := &counter{a, map[string]string{}}
		c.do(func(w http.ResponseWriter, r *http.Request) error {
			return a.x.Start(w, r, authn.Login{Subject: "id-alice", Name: "alice"})
		})
		a.c.Set(time.Second)
		c.do(func(w http.ResponseWriter, r *http.Request) error {
			schemetest.Must(t, c.add(w, r))
			c.do(c.add)
			return a.x.Keep(w, r, func() (authn.Login, error) {
				epoch, err := s.BumpEpoch(r.Context(), "id-alice")
				return authn.Login{Subject: "id-alice", Name: "alice", Epoch: epoch}, err
			})
		})
		if n := c.number(); n != 2 {
			t.Errorf("2 saves were acknowledged, and the session has %d", n)
		}
	})
}

// A session that was revoked since the request was authenticated does not let it change the account.
func TestKeepOfRevokedSession(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, nil)
		c := &counter{a, map[string]string{}}
		for _, revoke := range []func() error{
			func() error { _, err := a.x.EndAll(t.Context(), "id-alice", ""); return err },
			func() error { return s.SetActive(t.Context(), "id-alice", false) },
		} {
			clear(c.cookies)
			c.do(func(w http.ResponseWriter, r *http.Request) error {
				return a.x.Start(w, r, authn.Login{Subject: "id-alice", Name: "alice"})
			})
			c.do(func(w http.ResponseWriter, r *http.Request) error {
				schemetest.Must(t, revoke())
				err := a.x.Keep(w, r, func() (authn.Login, error) {
					t.Error("changed")
					return authn.Login{}, nil
				})
				var e *authn.Error
				if !errors.As(err, &e) || e.Status != 401 {
					t.Errorf("%v", err)
				}
				return nil
			})
		}
	})
}
