package cached_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/knox"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A static token whose master key is not in the ring is refused, while another server of
// the same store, which has the key, shares its identity; in both formats.
func TestSharedAndMasterKeys(t *testing.T) {
	for _, hex := range []bool{false, true} {
		w := newWorld(t, memory.New(nil), nil)
		with, without := newSite(w, siteOptions{hex: hex}), newSite(w, siteOptions{hex: hex, master: keys.Generate()})
		w.add("alice")
		c := with.logIn("alice")[0]
		with.warm(c)
		if !with.shared(c.header) {
			t.Error("not shared")
		}
		for range 5 {
			if code := without.status(c.header); code != 401 {
				t.Errorf("hex %t: %d without the key", hex, code)
			}
			with.is(c.credential, true, "with the key")
		}
		w.must(w.s.DeleteStaticTokenOf(w.ctx, "alice"))
		with.is(c.credential, false, "deleted")
	}
}

// What one request saves in a session the next one sees, and one beside it that has an
// identity of before saves over nothing.
func TestSharedSessionData(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		s := newSite(w, siteOptions{})
		w.add("alice")
		c := s.logIn("alice")[2]
		st := s.browsers.Store()
		value := func(key string, change func(old any) any) (out any) {
			s.see = func(rw http.ResponseWriter, r *http.Request) {
				v, err := st.Get(r, "session")
				w.must(err)
				out = v.Values[key]
				if change != nil {
					v.Values[key] = change(out)
					w.must(st.Save(r, rw, v))
				}
			}
			defer func() { s.see = nil }()
			s.is(c.credential, true, "logged in")
			return out
		}
		for i := range 5 {
			s.warm(c)
			if !s.shared(c.header) {
				t.Error("not shared")
			}
			value("n", func(any) any { return i })
			for range 3 {
				if got := value("n", nil); got != i {
					t.Errorf("the next request sees %v, want %d", got, i)
				}
			}
		}
		s.warm(c)
		value("a", func(any) any { // while this one looks, another saves
			outer := s.see
			value("b", func(any) any { return "theirs" })
			s.see = outer
			return "mine"
		})
		if a, b, n := value("a", nil), value("b", nil), value("n", nil); a != "mine" || b != "theirs" || n != 4 {
			t.Errorf("%v, %v, %v", a, b, n)
		}
	})
}

// A session with much data is loaded by each request: the places keep none of it.
func TestSharedSessionSize(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	s := newSite(w, siteOptions{})
	w.add("alice")
	c := s.logIn("alice")[2]
	var row storage.Session
	s.warm(c)
	list, err := s.browsers.Sessions(w.ctx, "alice", 1)
	w.must(err)
	row = list[0]
	for _, n := range []int{0, 4 << 10, 4<<10 + 1, 60 << 10} {
		w.must(w.s.SaveSession(w.ctx, row.Digest, row.Version, bytes.Repeat([]byte("x"), n)))
		row.Version++
		s.warm(c)
		if got := s.shared(c.header); got != (n <= 4<<10) {
			t.Errorf("%d bytes: shared %t", n, got)
		}
	}
}

// A session that got another name is the same one under it, and none under the old.
func TestSharedRename(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	s := newSite(w, siteOptions{})
	w.add("alice")
	c := s.logIn("alice")[2]
	for range 3 {
		s.warm(c)
		rec := httptest.NewRecorder()
		w.must(s.browsers.Regenerate(rec, s.request(c.header)))
		s.is(c.credential, false, "its old name")
		cookie := rec.Result().Cookies()[0]
		c.header = header{"Cookie", cookie.Name + "=" + cookie.Value}
		h := c.header
		c.good = func(context.Context, *cached.Store) (bool, error) { return s.status(h) == 200, nil }
		s.is(c.credential, true, "its new name")
	}
}

// A shared session is no way around the check of where a request comes from.
func TestSharedCSRF(t *testing.T) {
	t.Run("attack_125_from_another_site", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		s := newSite(w, siteOptions{})
		w.add("alice")
		c := s.logIn("alice")[2]
		s.warm(c)
		for range 3 {
			for from, want := range map[string]int{origin: 200, "https://evil.example": 403, "null": 403} {
				r := s.request(c.header)
				r.Header.Set("Origin", from)
				rec := httptest.NewRecorder()
				if s.h.ServeHTTP(rec, r); rec.Code != want {
					t.Errorf("from %s: %d", from, rec.Code)
				}
			}
			r := s.request(c.header) // a form that says nothing of where it comes from
			r.Header.Del("Origin")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			rec := httptest.NewRecorder()
			if s.h.ServeHTTP(rec, r); rec.Code != 403 {
				t.Errorf("a form without a token: %d", rec.Code)
			}
			// Neither around two cookies, nor around plain http.
			twice := header{"Cookie", c.value + "; " + c.value}
			if code := s.status(twice); code != 401 {
				t.Errorf("two cookies: %d", code)
			}
			plain := httptest.NewRequest("GET", "http://app.example/", nil)
			plain.Header.Set("Cookie", c.value)
			rec = httptest.NewRecorder()
			if s.h.ServeHTTP(rec, plain); rec.Code != 401 {
				t.Errorf("plain http: %d", rec.Code)
			}
		}
	})
}

// changing are keys that change.
type changing struct {
	atomic.Pointer[jose.KeySet]
	generation atomic.Uint64
}

func (c *changing) change(r *jose.KeySet) {
	c.Store(r)
	c.generation.Add(1)
}

func (c *changing) Keys(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	return c.Load().Keys(ctx, kid, alg)
}

func (c *changing) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	return c.Load().Sign(ctx, typ, claims)
}
func (c *changing) JWKS(ctx context.Context) ([]byte, error)  { return c.Load().JWKS(ctx) }
func (c *changing) Generation() uint64                        { return c.generation.Load() }
func (c *changing) Versions() (jose.KeySource, func() uint64) { return c, c.Generation }

// A JWT whose key is gone is refused at once, also where its identity was shared, by the
// application itself and by a verifier that asks nobody; a key that is there again is good
// again.
func TestSharedAndSigningKeys(t *testing.T) {
	old, next := signing(t, "old"), signing(t, "next")
	ring := new(changing)
	ring.change(old)
	w := newWorld(t, memory.New(nil), nil)
	s := newSite(w, siteOptions{signing: ring})
	w.add("alice")
	c := s.logIn("alice")[3]
	foreign := func(blocklist storage.Blocklist, user func(context.Context, *jwt.Access) (authn.User, error)) http.Handler {
		v, err := jwt.NewVerifier("https://auth.example", "https://api.example", ring, &jwt.VerifierOptions{Clock: w.clock.now, Leeway: jwt.LeewayOff, Blocklist: blocklist, User: user})
		w.must(err)
		return authn.New(v, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s.read(r) }))
	}
	made := 0
	verifiers := map[string]http.Handler{"alone": foreign(nil, nil), "blocklist": foreign(w.s, nil), "user": foreign(nil, func(_ context.Context, a *jwt.Access) (authn.User, error) {
		made++
		return mine{a.Subject}, nil
	})}
	all := func(want int, why string) {
		t.Helper()
		for range 4 {
			if code := s.status(c.header); code != want {
				t.Errorf("%s: %d", why, code)
			}
			for name, h := range verifiers {
				r, rec := s.request(c.header), httptest.NewRecorder()
				if h.ServeHTTP(rec, r); rec.Code != want {
					t.Errorf("%s, verifier %s: %d", why, name, rec.Code)
				}
			}
		}
	}
	all(200, "its key is there")
	if made != 4 {
		t.Errorf("the verifier's account was made %d times", made)
	}
	ring.change(next)
	all(401, "its key is gone")
	ring.change(old)
	all(200, "its key is back")
	pairs := storage.BlockKeyOf(storage.BlockJTI, "https://auth.example", s.jti(c))
	w.must(w.s.Block(w.ctx, w.clock.now().Add(100*time.Hour), pairs))
	for name, want := range map[string]int{"alone": 200, "blocklist": 401, "user": 200} { // who asks nobody knows nothing
		rec := httptest.NewRecorder()
		if verifiers[name].ServeHTTP(rec, s.request(c.header)); rec.Code != want {
			t.Errorf("blocked, verifier %s: %d", name, rec.Code)
		}
	}
	s.is(c.credential, false, "blocked")
	w.clock.forward(10 * time.Hour)
	all(401, "expired")
}

// jti returns the name of a JWT.
func (s *site) jti(c sent) (id string) {
	s.see = func(_ http.ResponseWriter, r *http.Request) {
		id = authn.FromContext(r.Context()).Credential.(*jwt.Access).ID
	}
	defer func() { s.see = nil }()
	s.do(c.header)
	return id
}

// A large JWT is verified, and loaded, for each request: the places keep none of it.
func TestSharedJWTSize(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	ring := signing(t, "k")
	s := newSite(w, siteOptions{signing: ring})
	w.add("alice")
	for _, n := range []int{100, 3 << 10} {
		claims := fmt.Sprintf(`{"iss":"https://auth.example","aud":"https://api.example","sub":"alice","jti":"j%d","sid":"s","ver":0,"iat":%d,"exp":%d,"auth_time":%[2]d,"x":%[4]q}`,
			n, w.clock.now().Unix(), w.clock.now().Unix()+300, strings.Repeat("x", n))
		text, err := ring.Sign(w.ctx, jwt.TypeAccess, []byte(claims))
		w.must(err)
		h := header{"Authorization", "Bearer " + text}
		for range 3 {
			if code := s.status(h); code != 200 {
				t.Fatal(code)
			}
		}
		if got := s.shared(h); got != (n == 100) {
			t.Errorf("%d bytes: shared %t", n, got)
		}
	}
}

// A token that is bound to a key is no bearer token, and one that is not does not come under
// DPoP, nor to another API; shared or not.
func TestSharedGrants(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	s := newSite(w, siteOptions{})
	w.add("alice")
	plain := s.grant("alice", 0, func(a *storage.AccessToken) { a.Resource = []string{"https://api.example"} })
	bound := s.grant("alice", 0, func(a *storage.AccessToken) { a.Confirm = "thumbprint" })
	elsewhere := s.grant("alice", 0, func(a *storage.AccessToken) { a.Resource = []string{"https://files.example"} })
	for range 5 {
		for text, want := range map[string]int{"Bearer " + plain.text: 200, "Bearer " + bound.text: 401, "Bearer " + elsewhere.text: 401} {
			if code := s.status(header{"Authorization", text}); code != want {
				t.Errorf("%d, want %d", code, want)
			}
		}
	}
	// A client's own token has nobody's account, and ends with its client.
	own := s.grant("", 0, nil)
	h := header{"Authorization", "Bearer " + own.text}
	for range 4 {
		s.see = func(_ http.ResponseWriter, r *http.Request) {
			if id := authn.FromContext(r.Context()); id.Subject != "" || id.User != nil || id.Client != own.Client {
				t.Errorf("%+v", id)
			}
		}
		if code := s.status(h); code != 200 {
			t.Errorf("a client's own: %d", code)
		}
	}
	s.see = nil
	if n := w.asked(func() { s.status(h) }); n != 0 {
		t.Errorf("asked %d times", n)
	}
	w.must(w.s.UpdateClient(w.ctx, storage.Client{ID: own.Client, Method: "none", Disabled: true}))
	if code := s.status(h); code != 401 {
		t.Errorf("its client is disabled: %d", code)
	}
	w.must(w.s.UpdateClient(w.ctx, storage.Client{ID: own.Client, Method: "none"}))
	if code := s.status(h); code != 401 {
		t.Errorf("its client was disabled and is enabled again: %d", code)
	}
}

// A client that changes or deletes its own registration makes the cache forget its own tokens, and
// no others.
func TestClientChangesTouchTheClient(t *testing.T) {
	t.Run("attack_308", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Minute})
		s := newSite(w, siteOptions{})
		one, other := s.grant("", 0, nil), s.grant("", 0, nil)
		find := func(g granted) error {
			_, err := w.s.AccessByDigest(w.ctx, g.Digest)
			return err
		}
		for what, change := range []func() error{
			func() error {
				return w.s.UpdateClient(w.ctx, storage.Client{ID: one.Client, Name: "x", Method: "none"})
			},
			func() error { return w.s.DeleteClient(w.ctx, one.Client) },
		} {
			w.must(find(other))
			_ = find(one)
			w.must(change())
			if n := w.asked(func() { w.must(find(other)) }); n != 0 {
				t.Errorf("change %d: the token of another client was asked for %d times", what, n)
			}
			if n := w.asked(func() { _ = find(one) }); n == 0 {
				t.Errorf("change %d: a token of the client is still kept", what)
			}
		}
	})
}

// A store that is down takes nobody with it whose identity is shared, until that is over;
// then nobody is refused, and nobody let in.
func TestSharedAndStoreDown(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Minute})
	s := newSite(w, siteOptions{})
	w.add("alice")
	list := s.logIn("alice")
	for _, c := range list {
		s.warm(c)
	}
	w.base.then(func(error) error { return errors.New("down") })
	for _, c := range list {
		if code := s.status(c.header); code != 200 {
			t.Errorf("%s: %d within the TTL", c.name, code)
		}
	}
	w.clock.forward(time.Minute)
	for _, c := range list {
		if code := s.status(c.header); code != 503 {
			t.Errorf("%s: %d after the TTL", c.name, code)
		}
	}
}

// closed is a store in front of a cached one, with a rule of its own.
type closed struct {
	*cached.Store
	shut *bool
}

func (c closed) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	if *c.shut {
		return storage.Credential{}, storage.User{}, storage.ErrNotFound
	}
	return c.Store.CredentialByDigest(ctx, purpose, d)
}

// A store in front of the cached one is asked for each request: a lease of the one behind it
// says nothing of its rules.
func TestStoreInFront(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	w.add("alice")
	shut := false
	devices, err := knox.New(closed{w.s, &shut}, &knox.Options{Clock: w.clock.now})
	w.must(err)
	text, _, err := devices.Issue(w.ctx, "alice", 0, knox.Token{})
	w.must(err)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Knox "+text)
	m := authn.New(devices, nil)
	for range 4 {
		if ctx, err := m.Authenticate(r); err != nil || authn.FromContext(ctx).Subject != "alice" {
			t.Fatal(err)
		}
	}
	shut = true
	if _, err := m.Authenticate(r); err == nil {
		t.Error("the store in front was not asked")
	}
}
