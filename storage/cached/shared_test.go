package cached_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Over a cache the identity of a credential is shared, over a store that keeps nothing it is
// not. Either way each of its ends is seen by the next request.
func TestSharedEnds(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		t.Run(fmt.Sprintf("keeps_%t", keeps), func(t *testing.T) {
			w := newWorld(t, memory.New(nil), nil)
			w.s.Bypass(!keeps)
			s := newSite(w, siteOptions{})
			n := 0
			try := func(i int, what string, everyone bool) {
				n++
				id := fmt.Sprint("user", n)
				w.add(id)
				list := s.logIn(id)
				c := list[i]
				s.warm(c)
				if got := s.shared(c.header); got != keeps {
					t.Errorf("%s: shared %t", c.name, got)
				}
				if n := w.asked(func() { s.is(c.credential, true, "warm") }); (n == 0) != keeps {
					t.Errorf("%s: a hit asked the store %d times", c.name, n)
				}
				end := c.ends[what]
				if everyone {
					for _, c := range list {
						s.warm(c)
					}
					end = everywhere(w.ctx, id, 0)[what]
				} else {
					list = list[i : i+1]
				}
				w.must(end(w.s))
				for _, c := range list {
					for range 2 {
						s.is(c.credential, false, what)
					}
				}
			}
			w.add("sample")
			for i, c := range s.logIn("sample") {
				for what := range c.ends {
					try(i, what, false)
				}
			}
			for what := range everywhere(w.ctx, "", 0) {
				try(0, what, true)
			}
		})
	}
}

// 64 goroutines send credentials, and read all of the identities, while one ends them: no
// request that begins after the end has returned is accepted.
func TestSharedRaces(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		s := newSite(w, siteOptions{})
		n := 0
		user := func() string {
			n++
			id := fmt.Sprint("user", n)
			w.add(id)
			return id
		}
		t.Run("attack_042_logout_during_use", func(t *testing.T) {
			w.TB = t
			for i, c := range s.logIn(user()) {
				for what := range c.ends {
					c := s.logIn(user())[i]
					s.warm(c)
					w.against(c.name+" "+what, c.ends[what], c.credential)
				}
			}
		})
		t.Run("attack_044_everywhere", func(t *testing.T) {
			w.TB = t
			for what := range everywhere(w.ctx, "", 0) {
				id := user()
				var list []credential
				for _, c := range s.logIn(id) {
					s.warm(c)
					list = append(list, c.credential)
				}
				w.against(what, everywhere(w.ctx, id, 0)[what], list...)
			}
		})
	})
}

// Nothing is accepted beyond its end by the scheme's clock, wherever the store's clock
// stands; and where the store's alone goes on, an end by call is seen all the same.
func TestSharedExpiry(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{TTL: cached.MaxTTL})
	s := newSite(w, siteOptions{ttl: 30 * time.Minute, interval: 29 * time.Minute})
	s.time = newClock()
	w.add("alice")
	list := s.logIn("alice")[1:4] // knox, session, jwt
	a := s.grant("alice", 0, func(a *storage.AccessToken) { a.Expires = now.Add(30 * time.Minute) })
	oauth := header{"Authorization", "Bearer " + a.text}
	list = append(list, sent{credential{name: "oauth2", good: func(context.Context, *cached.Store) (bool, error) { return s.status(oauth) == 200, nil }}, oauth})
	for _, c := range list {
		s.warm(c)
	}
	s.time.forward(28 * time.Minute)
	for _, c := range list {
		if n := w.asked(func() { s.is(c.credential, true, "not yet") }); n != 0 {
			t.Errorf("%s: asked %d times", c.name, n)
		}
	}
	s.time.forward(2*time.Minute - time.Microsecond)
	for _, c := range list[2:] { // the others are renewed by a use
		s.is(c.credential, true, "a moment before its end")
	}
	s.time.forward(time.Microsecond)
	for _, c := range list {
		for range 2 {
			s.is(c.credential, false, "expired by the scheme's clock")
		}
	}
	s.time.forward(-10 * time.Minute) // what is over by the one clock is there again by the other
	for _, c := range list {
		s.warm(c)
	}
	for _, d := range []time.Duration{cached.MaxTTL, -2 * cached.MaxTTL, time.Minute} {
		w.clock.forward(d)
		for _, c := range list {
			s.is(c.credential, true, "the store's clock")
		}
	}
	_, err := w.s.BumpEpoch(w.ctx, "alice")
	w.must(err)
	for _, c := range list {
		s.is(c.credential, false, "log out everywhere")
	}
}

// touching counts written notes of a use.
type touching struct {
	cached.Base
	tokens, sessions atomic.Int64
}

func (b *touching) TouchCredential(ctx context.Context, purpose string, d storage.Digest, used, expires, before time.Time) (bool, error) {
	ok, err := b.Base.TouchCredential(ctx, purpose, d, used, expires, before)
	if ok {
		b.tokens.Add(1)
	}
	return ok, err
}

func (b *touching) TouchSession(ctx context.Context, d storage.Digest, seen, expires, before time.Time) (bool, error) {
	ok, err := b.Base.TouchSession(ctx, d, seen, expires, before)
	if ok {
		b.sessions.Add(1)
	}
	return ok, err
}

// A use is noted once in an interval, and what it renews is seen: in the identity, in the
// cookie, and in that the credential lives on.
func TestSharedTouch(t *testing.T) {
	base := &touching{Base: memory.New(nil)}
	w := newWorld(t, base, &cached.Options{TTL: cached.MaxTTL})
	s := newSite(w, siteOptions{ttl: 30 * time.Minute, interval: 10 * time.Minute})
	w.add("alice")
	list := s.logIn("alice")
	device, browser := list[1], list[2]
	var expires time.Time
	s.see = func(_ http.ResponseWriter, r *http.Request) { expires = authn.FromContext(r.Context()).Expires }
	// A token begins without a use, a session with its login.
	notes := map[string]*atomic.Int64{"knox": &base.tokens, "session": &base.sessions}
	want := map[string]int64{"knox": 1, "session": 0}
	for round := range 12 { // two hours, four lives
		for _, c := range []sent{device, browser} {
			set := 0
			for i := range 6 {
				rec := s.do(c.header)
				if rec.Code != 200 {
					t.Fatalf("%s, round %d: %d", c.name, round, rec.Code)
				}
				set += len(rec.Result().Cookies())
				// The request that renews a session says the end of before.
				if c.name == "session" && i == 0 {
					continue
				}
				if end := w.clock.now().Add(30 * time.Minute); !expires.Equal(end) {
					t.Errorf("%s, round %d, request %d: expires %v, want %v", c.name, round, i, expires, end)
				}
			}
			if n := notes[c.name].Load(); n != want[c.name] {
				t.Errorf("%s, round %d: %d notes, want %d", c.name, round, n, want[c.name])
			}
			if c.name == "session" && (set == 1) != (round > 0) || c.name == "knox" && set != 0 {
				t.Errorf("%s, round %d: %d cookies", c.name, round, set)
			}
			if got := s.shared(c.header); !got {
				t.Errorf("%s, round %d: not shared between two notes", c.name, round)
			}
			s.see = func(_ http.ResponseWriter, r *http.Request) { expires = authn.FromContext(r.Context()).Expires }
			want[c.name]++
		}
		w.clock.forward(10 * time.Minute)
	}
	tokens, err := s.devices.List(w.ctx, "alice")
	w.must(err)
	if len(tokens) != 1 || !tokens[0].LastUsed.Equal(w.clock.now().Add(-10*time.Minute)) {
		t.Errorf("%+v", tokens)
	}
	w.clock.forward(20 * time.Minute)
	s.is(device.credential, false, "not used for its life")
	s.is(browser.credential, false, "not used for its life")
}

// 64 at once, whose identity is shared, note one use.
func TestSharedTouchRace(t *testing.T) {
	each(t, func(t *testing.T, store cached.Base) {
		base := &touching{Base: store}
		w := newWorld(t, base, nil)
		s := newSite(w, siteOptions{ttl: 30 * time.Minute, interval: 10 * time.Minute})
		w.add("alice")
		t.Run("attack_039_one_write_per_interval", func(t *testing.T) {
			w.TB = t
			for i, n := range map[int]*atomic.Int64{1: &base.tokens, 2: &base.sessions} {
				c := s.logIn("alice")[i]
				s.warm(c)
				before := n.Load()
				w.clock.forward(10 * time.Minute)
				var wg sync.WaitGroup
				for range 64 {
					wg.Go(func() { s.is(c.credential, true, "in use") })
				}
				wg.Wait()
				if got := n.Load() - before; got != 1 {
					t.Errorf("%s: %d notes", c.name, got)
				}
			}
		})
	})
}

// A text that differs from a shared one in any way is another text.
func TestSharedAndMalformed(t *testing.T) {
	t.Run("attack_103_changed_by_a_letter", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), &cached.Options{UnknownRate: 1 << 40})
		s := newSite(w, siteOptions{})
		w.add("alice")
		for _, c := range s.logIn("alice") {
			s.warm(c)
			text := c.value
			begin := strings.IndexAny(text, " =") + 1
			for i := begin; i < len(text); i++ {
				other := byte('A')
				if text[i] == other {
					other = 'B'
				}
				if code := s.status(header{c.field, text[:i] + string(other) + text[i+1:]}); code != 401 {
					t.Errorf("%s: changed at %d: %d", c.name, i, code)
				}
			}
			for _, changed := range []string{text + "A", text[:len(text)-1], text[:begin] + strings.ToUpper(text[begin:])} {
				if code := s.status(header{c.field, changed}); code != 401 {
					t.Errorf("%s: %q: %d", c.name, changed, code)
				}
			}
			s.is(c.credential, true, "it is still there")
		}
	})
}

// The application's own account is made for each request, and nothing is shared then.
func TestSharedAndOptionsUser(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	var made atomic.Int64
	var refuse atomic.Bool
	s := newSite(w, siteOptions{user: func(_ context.Context, u storage.Account) (authn.User, error) {
		made.Add(1)
		if refuse.Load() {
			return nil, authn.AuthenticationFailed("Not today.")
		}
		return mine{u.ID}, nil
	}})
	w.add("alice")
	for _, c := range s.logIn("alice") {
		s.warm(c)
		before := made.Load()
		for range 5 {
			s.is(c.credential, true, "it is there")
		}
		if n := made.Load() - before; n != 5 {
			t.Errorf("%s: made %d times in 5 requests", c.name, n)
		}
		refuse.Store(true)
		s.is(c.credential, false, "the application refuses it")
		refuse.Store(false)
		s.is(c.credential, true, "and takes it again")
	}
}

type mine struct{ id string }

func (m mine) UserID() string { return m.id }

// A permission that is taken away is gone at the next question to a shared account.
func TestSharedHasPerm(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	s := newSite(w, siteOptions{})
	w.add("alice")
	for i, c := range s.logIn("alice")[:4] { // an OAuth2 client has none
		w.must(w.s.SetSubjectPermissions(w.ctx, "alice", []string{perm}))
		s.warm(c)
		var first, second bool
		s.see = func(_ http.ResponseWriter, r *http.Request) {
			u, ok := authn.UserFrom[*storage.Account](r.Context())
			if !ok {
				t.Fatal(c.name, "no account")
			}
			var err error
			first, err = u.HasPerm(r.Context(), perm)
			w.must(err)
			w.must(w.s.SetSubjectPermissions(r.Context(), "alice", nil))
			second, err = u.HasPerm(r.Context(), perm)
			w.must(err)
		}
		s.do(c.header)
		s.see = nil
		if !first || second {
			t.Errorf("%d %s: before %t, after %t", i, c.name, first, second)
		}
	}
}

// An identity that acts with scopes has no roles and no permissions, shared or not.
func TestSharedDelegated(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	s := newSite(w, siteOptions{})
	w.add("alice")
	w.permitted("alice", false)
	text, _, err := s.devices.Issue(w.ctx, "alice", 0, knox.Token{Scopes: []string{}})
	w.must(err)
	access := s.grant("alice", 0, nil)
	for _, h := range []header{{"Authorization", "Knox " + text}, {"Authorization", "Bearer " + access.text}} {
		for i := range 5 {
			s.see = func(_ http.ResponseWriter, r *http.Request) {
				id := authn.FromContext(r.Context())
				if id.Roles != nil || id.Scopes == nil || !id.Delegated() {
					t.Errorf("request %d: %+v", i, id)
				}
				if u, ok := authn.UserFrom[*storage.Account](r.Context()); ok {
					if has, err := u.HasPerm(r.Context(), perm); has || err != nil {
						t.Errorf("request %d: has a permission, %v", i, err)
					}
				}
			}
			if code := s.status(h); code != 200 {
				t.Errorf("%d", code)
			}
		}
		s.see = nil
		if !s.shared(h) {
			t.Errorf("%s: not shared", h.value[:10])
		}
	}
}
