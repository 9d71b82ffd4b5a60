package cached_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// static looks a static token up.
func (w *world) static(d storage.Digest) func(context.Context, *cached.Store) (bool, error) {
	return func(ctx context.Context, s *cached.Store) (bool, error) {
		_, u, err := s.StaticTokenByDigest(ctx, d)
		_, good, err := maybe(u, err, func() bool { return true })
		return good, err
	}
}

// A hit says what the store said, without the password hash, and the store is not asked.
func TestHitsAreTheRecords(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		w.add("alice")
		list := w.give("alice")
		d := storage.DigestOf("alice 0")
		keys := storage.BlockKeys{JTI: storage.BlockKeyOf(storage.BlockJTI, "iss", "x")}
		without := func(u storage.User) storage.User { u.Password = ""; return u.Leased(nil) }
		lookups := map[string]func(s cached.Base) []any{
			"static": func(s cached.Base) []any {
				r, u, err := s.StaticTokenByDigest(w.ctx, d)
				return []any{r, without(u), err}
			},
			"device": func(s cached.Base) []any {
				r, u, err := s.CredentialByDigest(w.ctx, "knox", d)
				return []any{r, without(u), err}
			},
			"session": func(s cached.Base) []any { r, u, err := s.SessionByDigest(w.ctx, d); return []any{r, without(u), err} },
			"access": func(s cached.Base) []any {
				r, err := s.AccessByDigest(w.ctx, d)
				r.User = without(r.User)
				return []any{r, err}
			},
			"standing": func(s cached.Base) []any { r, err := s.TokenStatusOf(w.ctx, "alice", keys); return []any{r, err} },
			"user_standing": func(s cached.Base) []any {
				u, r, err := s.TokenStatusWithUser(w.ctx, "alice", keys)
				return []any{without(u), r, err}
			},
			"link": func(s cached.Base) []any {
				l, u, err := s.LinkOf(w.ctx, "https://login.example", fmt.Sprintf("%x", d[:8]))
				return []any{l, without(u), err}
			},
			"live_user": func(s cached.Base) []any {
				if live, ok := s.(storage.LiveUsers); ok {
					u, hash, err := live.LiveUser(w.ctx, "alice")
					return []any{without(u), hash, err}
				}
				u, err := s.UserByID(w.ctx, "alice")
				return []any{without(u), u.Password.Fingerprint(), err}
			},
		}
		if len(list) != len(lookups) {
			t.Fatal("a kind is missing")
		}
		for name, ask := range lookups {
			want := ask(w.base.Base)
			for i := range 3 {
				n := w.asked(func() {
					if got := ask(w.s); !reflect.DeepEqual(got, want) {
						t.Errorf("%s, lookup %d:\n got %+v\nwant %+v", name, i, got, want)
					}
				})
				if want := int64(0); i > 0 && n != want || i == 0 && n != 1 {
					t.Errorf("%s, lookup %d: the store was asked %d times", name, i, n)
				}
			}
		}
		for range 2 {
			if _, u, err := w.s.StaticTokenByDigest(w.ctx, d); err != nil || u.Password != "" {
				t.Error("the hash of a password is kept")
			}
		}
	})
}

func TestTTL_attack_261(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Minute}).by(how)
		w.add("alice")
		for _, c := range w.give("alice") {
			w.is(c, true, "it is there")
			w.clock.forward(time.Minute - time.Microsecond)
			if n := w.asked(func() { w.is(c, true, "within the TTL") }); n != 0 {
				t.Errorf("%s: asked %d times within the TTL", c.name, n)
			}
			w.clock.forward(time.Microsecond)
			if n := w.asked(func() { w.is(c, true, "after the TTL") }); n != 1 {
				t.Errorf("%s: asked %d times after the TTL", c.name, n)
			}
			// A clock that is set back, again and again, does not prolong anything.
			for i, want := range []int64{0, 0, 1} {
				w.clock.forward(-29 * time.Second)
				if n := w.asked(func() { w.is(c, true, "the clock was set back") }); n != 0 {
					t.Errorf("%s: asked %d times with the clock set back", c.name, n)
				}
				w.clock.forward(29 * time.Second)
				if n := w.asked(func() { w.is(c, true, "and went on") }); n != want {
					t.Errorf("%s: edge_A15: asked %d times after %v", c.name, n, time.Duration(i+1)*29*time.Second)
				}
			}
			w.clock.forward(time.Hour) // one that is set forward ends it
			if n := w.asked(func() { w.is(c, true, "an hour later") }); n != 1 {
				t.Errorf("%s: asked %d times an hour later", c.name, n)
			}
			w.clock.micros.Store(now.UnixMicro())
		}
	})
}

// Nothing is kept beyond its own expiry, also where the TTL is longer.
func TestExpiry_attack_236(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Hour}).by(how)
		w.add("alice")
		list := w.give("alice") // an hour
		w.clock.forward(59 * time.Minute)
		for _, c := range list {
			w.is(c, true, "not expired")
		}
		w.clock.forward(time.Minute - time.Microsecond)
		for _, c := range list {
			if n := w.asked(func() { w.is(c, true, "not expired") }); n != 0 {
				t.Errorf("%s: asked before its end", c.name)
			}
		}
		w.clock.forward(time.Microsecond)
		for _, c := range list[1:4] { // a static token and a standing have no expiry of their own
			for range 2 {
				if n := w.asked(func() { _, _ = c.good(w.ctx, w.s) }); n != 1 {
					t.Errorf("%s: kept beyond its expiry", c.name)
				}
			}
		}
	})
}

// What is no clear yes is asked for each time: disabled, ended, expired, blocked, outdated.
func TestOnlyGoodOnesAreKept(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		for what := range everywhere(t.Context(), "", 0) {
			w := newWorld(t, memory.New(nil), nil).by(how)
			w.add("alice")
			list := w.give("alice")
			w.must(everywhere(w.ctx, "alice", 0)[what](w.s))
			for _, c := range list {
				if c.name == "standing" || (c.name == "user_standing" || c.name == "live_user" || c.name == "link") && what != "disable" {
					continue // says the epoch, whatever it is
				}
				first := w.asked(func() { w.is(c, false, what) })
				again := w.asked(func() { w.is(c, false, what) })
				absent := map[string]bool{"static": true, "device": true, "session": true, "access": true}[c.name]
				if first != 1 || again == 0 && !absent {
					t.Errorf("%s after %s: asked %d and %d times", c.name, what, first, again)
				}
			}
			if u := w.s.Usage(); what == "disable" && u.Entries > 1 {
				t.Errorf("%d entries of a disabled account", u.Entries)
			}
		}
	})
}

// An error is told to those who wait and to nobody after them.
func TestErrorsAreNotKept_attack_234(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), nil).by(how)
		w.add("alice")
		for _, c := range w.give("alice") {
			down := errors.New("down")
			for _, bad := range []error{down, context.DeadlineExceeded, context.Canceled} {
				w.base.then(func(error) error { return bad })
				if _, err := c.good(w.ctx, w.s); !errors.Is(err, bad) {
					t.Errorf("%s: got %v", c.name, err)
				}
				if u := w.s.Usage(); u.Unknown != 0 {
					t.Errorf("%s: an error is kept as unknown", c.name)
				}
				w.base.then(nil)
			}
			w.is(c, true, "the store is back")
			w.base.then(func(error) error { return down })
			w.is(c, true, "a hit does not need the store")
			w.base.then(nil)
		}
	})
}

// The request that began a lookup goes away; those who wait for it get the answer.
func TestCallerGoesAway_attack_233(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), nil).by(how)
		w.add("alice")
		c := w.give("alice")[0]
		first, leave := context.WithCancel(w.ctx)
		read, goOn := make(chan struct{}), make(chan struct{})
		w.base.then(func(err error) error { close(read); <-goOn; return err })
		answers := make(chan string, 3)
		ask := func(ctx context.Context) {
			good, err := c.good(ctx, w.s)
			answers <- fmt.Sprint(good, err)
		}
		go ask(first)
		<-read
		go ask(w.ctx)
		impatient, leaveToo := context.WithCancel(w.ctx)
		leaveToo()
		if _, err := c.good(impatient, w.s); !errors.Is(err, context.Canceled) {
			t.Errorf("whose context has ended waits: %v", err)
		}
		leave()
		close(goOn)
		for range 2 {
			if got := <-answers; got != "true <nil>" {
				t.Errorf("got %s", got)
			}
		}
		if n := w.base.lookups.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A store that panics takes nobody else with it.
func TestPanic(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), nil).by(how)
		w.add("alice")
		c := w.give("alice")[0]
		w.base.then(func(error) error { panic("store") })
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_, _ = c.good(w.ctx, w.s)
		}()
		w.base.then(nil)
		w.is(c, true, "after a panic")
	})
}

func TestKeysAreNotConfused(t *testing.T) {
	t.Run("attack_174_equal_digests_of_two_schemes", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		w.add("alice")
		for i := range w.give("alice") {
			id := fmt.Sprint("user", i)
			w.add(id)
			list := w.give(id)
			for _, c := range list {
				w.is(c, true, "all are there")
			}
			for what, end := range list[i].ends {
				w.must(end(w.s))
				w.is(list[i], false, what)
				break
			}
			if list[i].name == "link" {
				continue // it ends the account's credentials, too
			}
			for j, c := range list[:4] { // the digests are equal
				if j != i && (i < 4 || j != 3) { // family: the access token's too
					w.is(c, true, "another kind ended: "+list[i].name)
				}
			}
		}
	})
	t.Run("attack_174_absent_in_one_scheme", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		w.add("alice")
		d := storage.DigestOf("alice 0")
		for range 2 {
			if _, _, err := w.s.CredentialByDigest(w.ctx, "knox", d); !errors.Is(err, storage.ErrNotFound) {
				t.Fatal(err)
			}
		}
		w.must(w.s.PutStaticToken(w.ctx, storage.StaticToken{Digest: d, Subject: "alice"}, storage.Digest{}))
		if _, _, err := w.s.StaticTokenByDigest(w.ctx, d); err != nil {
			t.Error(err)
		}
	})
	t.Run("attack_174_one_jti_of_two_configurations", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		w.add("alice")
		w.add("bob")
		_, err := w.s.BumpEpoch(w.ctx, "bob")
		w.must(err)
		jti, sid := storage.BlockKeyOf(storage.BlockJTI, "iss", "1"), storage.BlockKeyOf(storage.BlockSID, "", "2")
		w.must(w.s.Block(w.ctx, now.Add(time.Hour), sid))
		for range 2 {
			for subject, keys := range map[string]storage.BlockKeys{"alice": {JTI: jti}, "bob": {JTI: jti, Subject: jti}, "": {JTI: jti, SID: sid}} {
				want, _ := w.base.Base.TokenStatusOf(w.ctx, subject, keys)
				if got, err := w.s.TokenStatusOf(w.ctx, subject, keys); err != nil || got != want {
					t.Errorf("%q: got %+v, want %+v, %v", subject, got, want, err)
				}
				wantUser, want, wantErr := w.base.Base.TokenStatusWithUser(w.ctx, subject, keys)
				u, got, err := w.s.TokenStatusWithUser(w.ctx, subject, keys)
				if got != want || u.ID != wantUser.ID || !errors.Is(err, wantErr) {
					t.Errorf("%q: got %+v of %q, want %+v, %v", subject, got, u.ID, want, err)
				}
			}
		}
	})
}

// Texts that are too long, and epochs of a time, and no account at all.
func TestOddRecords(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	d := storage.DigestOf("odd")
	w.must(w.base.CreateUser(w.ctx, storage.User{ID: "long", Name: "long", Roles: []string{strings.Repeat("r", 1<<16)}, Active: true}))
	w.must(w.s.PutStaticToken(w.ctx, storage.StaticToken{Digest: d, Subject: "long"}, storage.Digest{}))
	for range 2 {
		if _, u, err := w.s.StaticTokenByDigest(w.ctx, d); err != nil || len(u.Roles) != 1 || len(u.Roles[0]) != 1<<16 {
			t.Errorf("%d, %v", len(u.Roles), err)
		}
	}
	v := w.session("", "nobody", 0)
	w.must(w.s.CreateSession(w.ctx, v, storage.Digest{}))
	for range 2 {
		if got, u, err := w.s.SessionByDigest(w.ctx, v.Digest); err != nil || got.Subject != "" || !reflect.DeepEqual(u.Leased(nil), storage.User{}) {
			t.Errorf("%+v of %+v, %v", got, u, err)
		}
	}
	for i, scopes := range [][]string{nil, {}, {"a"}, {"a b"}, {"a", "b"}} {
		w.must(w.base.CreateUser(w.ctx, storage.User{ID: fmt.Sprint(i), Name: fmt.Sprint(i), Active: true}))
		d := storage.DigestOf(fmt.Sprint("scopes", i))
		if len(scopes) == 1 && scopes[0] == "a b" {
			continue // no store keeps it
		}
		_, err := w.s.CreateCredential(w.ctx, storage.Credential{Purpose: "knox", Digest: d, ID: "x", Subject: fmt.Sprint(i), Scopes: scopes}, storage.CredentialLimit{})
		w.must(err)
		for range 2 {
			got, _, err := w.s.CredentialByDigest(w.ctx, "knox", d)
			if err != nil || !reflect.DeepEqual(got.Scopes, scopes) && len(scopes) > 0 || (got.Scopes == nil) != (scopes == nil) {
				t.Errorf("scopes %#v, want %#v, %v", got.Scopes, scopes, err)
			}
		}
	}
}

// A use that is noted, and data that are saved, are there at the next lookup.
func TestTouchAndSave(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		w := newWorld(t, base, &cached.Options{TTL: time.Hour}).by(how)
		w.add("alice")
		list := w.give("alice")
		d := storage.DigestOf("alice 0")
		for _, c := range list {
			w.is(c, true, "it is there")
		}
		used, later := now.Add(30*time.Minute), now.Add(90*time.Minute)
		w.clock.forward(30 * time.Minute)
		for i := range 2 { // the second finds that somebody else noted it
			touched, err := w.s.TouchCredential(w.ctx, "knox", d, used, later, used.Add(-time.Minute))
			if err != nil || touched != (i == 0) {
				t.Errorf("touched %t, %v", touched, err)
			}
			if got, _, err := w.s.CredentialByDigest(w.ctx, "knox", d); err != nil || !got.LastUsed.Equal(used) || !got.Expires.Equal(later) {
				t.Errorf("device token: %+v, %v", got, err)
			}
			touched, err = w.s.TouchSession(w.ctx, d, used, later, used.Add(-time.Minute))
			if err != nil || touched != (i == 0) {
				t.Errorf("touched %t, %v", touched, err)
			}
			if got, _, err := w.s.SessionByDigest(w.ctx, d); err != nil || !got.LastSeen.Equal(used) || !got.Expires.Equal(later) {
				t.Errorf("session: %+v, %v", got, err)
			}
		}
		w.must(w.s.SaveSession(w.ctx, d, 1, []byte("new")))
		if got, _, err := w.s.SessionByDigest(w.ctx, d); err != nil || string(got.Data) != "new" || got.Version != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		w.clock.forward(50 * time.Minute) // beyond the first end, within the new one
		for _, c := range list[1:3] {
			if n := w.asked(func() { w.is(c, true, "renewed") }); n != 0 {
				t.Errorf("%s: a renewed one is not kept until its new end", c.name)
			}
		}
		// Somebody else saved: the conflict is seen with the version that is there.
		w.must(w.base.Base.SaveSession(w.ctx, d, 2, []byte("theirs")))
		if err := w.s.SaveSession(w.ctx, d, 2, []byte("mine")); !errors.Is(err, storage.ErrConflict) {
			t.Error(err)
		}
		if got, _, err := w.s.SessionByDigest(w.ctx, d); err != nil || string(got.Data) != "theirs" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
