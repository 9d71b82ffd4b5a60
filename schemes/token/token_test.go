package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each runs f on every kind of store.
func each(t *testing.T, f func(t *testing.T, s storagetest.Store)) {
	open := func(t *testing.T, s *gormstore.Store, err error) storagetest.Store {
		must(t, err)
		t.Cleanup(func() { s.Close() })
		must(t, s.Migrate(t.Context()))
		return s
	}
	t.Run("memory", func(t *testing.T) { f(t, memory.New(nil)) })
	t.Run("sqlite", func(t *testing.T) {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), nil)
		f(t, open(t, s, err))
	})
	t.Run("postgres", func(t *testing.T) {
		s, err := postgres.Open(pgtest.URL(t), nil)
		f(t, open(t, s, err))
	})
}

func ring(t testing.TB, masters ...[]byte) *keys.Ring {
	t.Helper()
	if len(masters) == 0 {
		masters = [][]byte{keys.Generate()}
	}
	r, err := keys.NewRing(masters...)
	must(t, err)
	return r
}

func scheme(t testing.TB, s token.Store, r *keys.Ring, opts *token.Options) *token.Scheme {
	t.Helper()
	x, err := token.New(s, r, opts)
	must(t, err)
	return x
}

func add(t testing.TB, s storagetest.Store, name string) {
	t.Helper()
	must(t, s.CreateUser(context.Background(), storage.User{ID: "id-" + name, Name: name, Active: true, Roles: []string{"staff"}}))
}

func epoch(t testing.TB, s storage.Subjects, subject string) int64 {
	t.Helper()
	n, err := s.SubjectEpoch(context.Background(), subject)
	must(t, err)
	return n
}

func with(value string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{value}
	return r
}

// refused reports whether the token is refused, with the one text.
func refused(t testing.TB, x *token.Scheme, text string) bool {
	t.Helper()
	_, err := authn.Chain{x}.Authenticate(with("Token " + text))
	var e *authn.Error
	if err != nil && (!errors.As(err, &e) || e.Status != 401 || e.Detail != "Invalid token.") {
		t.Errorf("got %v", err)
	}
	return err != nil
}

// The derivation never changes: it was computed with another program.
//
//	k = HKDF-SHA-256(master, info="vestibule/v1 static token")
//	HMAC-SHA-256(k, "vestibule static token v1" || 00000008 || "id-alice" || salt)
func TestGoldenTokens(t *testing.T) {
	master := bytes.Repeat([]byte{1, 2, 3, 4}, 8)
	for format, want := range map[token.Format]string{token.Prefixed: goldenPrefixed, token.Hex40: goldenHex} {
		s := memory.New(nil)
		add(t, s, "alice")
		x := scheme(t, s, ring(t, master), &token.Options{Format: format, Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 32))})
		got, err := x.Token(t.Context(), "id-alice", 0)
		must(t, err)
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLifeOfAToken(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		add(t, s, "alice")
		x := scheme(t, s, ring(t), nil)
		now := func() string {
			text, err := x.Token(ctx, "id-alice", epoch(t, s, "id-alice"))
			must(t, err)
			return text
		}
		first := now()
		if now() != first {
			t.Error("two logins, two tokens")
		}
		id, err := x.Authenticate(with("Token " + first))
		must(t, err)
		u, ok := id.User.(*storage.User)
		if id.Subject != "id-alice" || id.Scheme != "token" || !ok || u.Name != "alice" || id.Roles[0] != "staff" || id.Delegated() {
			t.Errorf("identity %+v", id)
		}
		for what, end := range map[string]func() error{
			"logout":             func() error { return x.Revoke(ctx, "id-alice") },
			"password change":    func() error { return s.SetPassword(ctx, "id-alice", "new") },
			"log out everywhere": func() error { _, err := s.BumpEpoch(ctx, "id-alice"); return err },
			"reset":              func() error { _, err := x.Reset(ctx, "id-alice", epoch(t, s, "id-alice")); return err },
			"disabled, and enabled": func() error {
				return errors.Join(s.SetActive(ctx, "id-alice", false), s.SetActive(ctx, "id-alice", true))
			},
		} {
			before := now()
			if refused(t, x, before) {
				t.Fatalf("before %s: refused", what)
			}
			must(t, end())
			if !refused(t, x, before) {
				t.Errorf("%s: the token works", what)
			}
			if now() == before {
				t.Errorf("%s: the same token again", what)
			}
		}
		must(t, s.SetActive(ctx, "id-alice", false))
		if _, err := x.Token(ctx, "id-alice", epoch(t, s, "id-alice")); !errors.Is(err, storage.ErrStale) {
			t.Errorf("a token for a disabled account: %v", err)
		}
		if _, err := x.Token(ctx, "nobody", 0); !errors.Is(err, storage.ErrStale) {
			t.Errorf("a token for nobody: %v", err)
		}
		if err := x.Revoke(ctx, "nobody"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("revoking nothing: %v", err)
		}
	})
}

func TestMasterKeys(t *testing.T) {
	a, b := keys.Generate(), keys.Generate()
	s := memory.New(nil)
	add(t, s, "alice")
	get := func(r *keys.Ring) string {
		text, err := scheme(t, s, r, nil).Token(t.Context(), "id-alice", 0)
		must(t, err)
		return text
	}
	first := get(ring(t, a))
	if get(ring(t, b, a)) != first {
		t.Error("a key that is still in the ring makes the same token")
	}
	if !refused(t, scheme(t, s, ring(t, b), nil), first) {
		t.Error("a key left the ring and its token works")
	}
	second := get(ring(t, b))
	if second == first || refused(t, scheme(t, s, ring(t, b), nil), second) || !refused(t, scheme(t, s, ring(t, b, a), nil), first) {
		t.Error("a login under the new ring replaces the token by one that works")
	}
}

func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		add(t, s, "alice")
		counting := &counter{Store: s}
		x := scheme(t, counting, ring(t), nil)
		good, err := x.Token(ctx, "id-alice", 0)
		must(t, err)
		lookups := func(value string) int64 {
			before := counting.n.Load()
			refused(t, x, value)
			return counting.n.Load() - before
		}
		t.Run("attack_034_changed_tokens", func(t *testing.T) {
			n := len(good)
			bad := []string{good[:n-1], good + good, strings.ToUpper(good), good + "A", good[1:], good + "=", "vst_", strings.Replace(good, "_", "-", 1), good[:4] + good[5:] + good[4:5]}
			for i := range n {
				for _, c := range []byte{'A', 'z', '0', '_'} {
					if good[i] != c {
						bad = append(bad, good[:i]+string(c)+good[i+1:])
					}
				}
			}
			for _, text := range bad {
				if text == good {
					continue
				}
				if n := lookups(text); n > 1 {
					t.Errorf("%d look-ups", n)
				}
				if !refused(t, x, text) {
					t.Errorf("%s was taken", text)
				}
			}
			if n := lookups(good); n != 1 {
				t.Errorf("%d look-ups for a good token", n)
			}
		})
		t.Run("attack_035_guesses", func(t *testing.T) {
			guess := []byte(good)
			taken := 0
			for i := range 100_000 {
				guess[10+i%30] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i*7%32]
				if string(guess) != good && !refused(t, x, string(guess)) {
					taken++
				}
			}
			if taken > 0 {
				t.Errorf("%d guesses were taken", taken)
			}
		})
		t.Run("attack_036_wildcards", func(t *testing.T) {
			for _, text := range []string{"%", "_", "vst_%", "vst_" + strings.Repeat("_", 49), "'OR/**/1=1--", "vst_" + strings.Repeat("%", 49), "*", "\\"} {
				if n := lookups(text); n != 0 || !refused(t, x, text) {
					t.Errorf("%q: %d look-ups", text, n)
				}
			}
		})
		t.Run("attack_037_a_stolen_table", func(t *testing.T) {
			row, err := s.StaticTokenOf(ctx, "id-alice")
			must(t, err)
			for _, text := range []string{fmt.Sprintf("%x", row.Digest[:]), fmt.Sprintf("%x", row.Salt), fmt.Sprintf("%x", row.Digest[:20])} {
				if !refused(t, x, text) {
					t.Error("a column of the table is a token")
				}
			}
			other := scheme(t, s, ring(t), nil) // the thief has no master key
			if _, err := other.Authenticate(with("Token " + good)); err == nil {
				t.Error("a ring without the master key takes the token")
			}
		})
		t.Run("epochs_are_compared_for_equality", func(t *testing.T) {
			// A static token ends by epoch, compared for equality: one microsecond either
			// way is another epoch.
			row, err := s.StaticTokenOf(ctx, "id-alice")
			must(t, err)
			for _, d := range []int64{-1, 1} {
				put := row
				put.Epoch += d
				if err := s.PutStaticToken(ctx, put, row.Digest); !errors.Is(err, storage.ErrStale) && !errors.Is(err, storage.ErrConflict) {
					t.Errorf("epoch %+d: %v", d, err)
				}
			}
			if refused(t, x, good) {
				t.Error("refused at its own epoch")
			}
		})
		t.Run("attack_049_no_random_bytes", func(t *testing.T) {
			add(t, s, "bob")
			dry := scheme(t, s, ring(t), &token.Options{Rand: iotest{}})
			if text, err := dry.Token(ctx, "id-bob", 0); err == nil || text != "" {
				t.Errorf("got %q, %v", text, err)
			}
			w := httptest.NewRecorder()
			dry.Login(anyone{"id-bob"}).ServeHTTP(w, form("bob", "x"))
			if w.Code != 503 {
				t.Errorf("login without random bytes: %d", w.Code)
			}
			if _, err := s.StaticTokenOf(ctx, "id-bob"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("a token was written: %v", err)
			}
		})
		t.Run("attack_051_read_only", func(t *testing.T) {
			// There is no write on the way of a check: a store that can not write serves.
			if _, err := scheme(t, readOnly{s}, ring(t), nil).Authenticate(with("Token junk")); !errors.Is(err, authn.ErrUnrecognized) {
				t.Errorf("got %v", err)
			}
			ro := scheme(t, readOnly{s}, sharedRing, nil)
			rw := scheme(t, s, sharedRing, nil)
			add(t, s, "carol")
			text, err := rw.Token(ctx, "id-carol", 0)
			must(t, err)
			if refused(t, ro, text) {
				t.Error("a check needs to write")
			}
			if again, err := ro.Token(ctx, "id-carol", 0); err != nil || again != text {
				t.Errorf("a second login needs to write: %v", err)
			}
		})
		t.Run("attack_044_attack_045_disabled_and_deleted", func(t *testing.T) {
			add(t, s, "dave")
			text, err := x.Token(ctx, "id-dave", 0)
			must(t, err)
			must(t, s.SetActive(ctx, "id-dave", false))
			if !refused(t, x, text) {
				t.Error("a disabled account's token works")
			}
			must(t, s.DeleteUser(ctx, "id-dave"))
			add(t, s, "dave") // the id again
			if !refused(t, x, text) {
				t.Error("a deleted account's token works for the next one of that id")
			}
		})
		t.Run("attack_050_twice", func(t *testing.T) {
			row, err := s.StaticTokenOf(ctx, "id-alice")
			must(t, err)
			if err := s.PutStaticToken(ctx, row, storage.Digest{}); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("attack_048_collisions", func(t *testing.T) {
		s := &colliding{Store: memory.New(nil)}
		add(t, s, "alice")
		_, err := scheme(t, s, ring(t), nil).Token(t.Context(), "id-alice", 0)
		if err == nil || s.tries.Load() != 4 {
			t.Errorf("%d tries, %v: want one and three more, then an error", s.tries.Load(), err)
		}
		w := httptest.NewRecorder()
		scheme(t, s, ring(t), nil).Login(anyone{"id-alice"}).ServeHTTP(w, form("alice", "x"))
		if w.Code != 503 {
			t.Errorf("login: %d", w.Code)
		}
	})
}

var sharedRing, _ = keys.NewRing(bytes.Repeat([]byte{9, 8}, 16))

// counter counts look-ups by digest.
type counter struct {
	token.Store
	n atomic.Int64
}

func (c *counter) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	c.n.Add(1)
	return c.Store.StaticTokenByDigest(ctx, d)
}

// readOnly can not write.
type readOnly struct{ storagetest.Store }

var errReadOnly = errors.New("read-only")

func (readOnly) PutStaticToken(context.Context, storage.StaticToken, storage.Digest) error {
	return errReadOnly
}
func (readOnly) DeleteStaticToken(context.Context, storage.Digest) error { return errReadOnly }
func (readOnly) BumpEpoch(context.Context, string) (int64, error)        { return 0, errReadOnly }

// colliding has every digest already.
type colliding struct {
	storagetest.Store
	tries atomic.Int64
}

func (c *colliding) PutStaticToken(context.Context, storage.StaticToken, storage.Digest) error {
	c.tries.Add(1)
	return storage.ErrConflict
}

// iotest has no random bytes.
type iotest struct{}

func (iotest) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

// anyone checks no password.
type anyone struct{ subject string }

func (a anyone) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{Subject: a.subject, Cookies: []*http.Cookie{{Name: "device", Value: "x"}}}, nil
}

func form(name, password string) *http.Request {
	r := httptest.NewRequest("POST", "/login", strings.NewReader("username="+name+"&password="+password))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// 64 logins of a user who has no token yet give one token.
func TestRaces(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		add(t, s, "alice")
		x := scheme(t, s, ring(t), nil)
		together := func(f func(i int)) {
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() { f(i) })
			}
			wg.Wait()
		}
		texts := make([]string, 64)
		together(func(i int) {
			var err error
			if texts[i], err = x.Token(ctx, "id-alice", 0); err != nil {
				t.Error(err)
			}
		})
		for _, text := range texts {
			if text != texts[0] {
				t.Fatal("two first logins at once gave two tokens")
			}
		}
		t.Run("attack_042_logout_during_use", func(t *testing.T) {
			var out atomic.Bool
			together(func(i int) {
				if i == 32 {
					must(t, x.Revoke(ctx, "id-alice"))
					out.Store(true)
					return
				}
				for range 20 {
					was := out.Load()
					if _, err := x.Authenticate(with("Token " + texts[0])); err == nil && was {
						t.Error("accepted after the logout was acknowledged")
					}
				}
			})
		})
		t.Run("attack_043_logins_and_disabling", func(t *testing.T) {
			got := make([]string, 64)
			together(func(i int) {
				if i == 32 {
					must(t, s.SetActive(ctx, "id-alice", false))
					return
				}
				text, err := x.Token(ctx, "id-alice", 0)
				if err != nil && !errors.Is(err, storage.ErrStale) {
					t.Error(err)
				}
				got[i] = text
			})
			for _, text := range got {
				if text != "" && !refused(t, x, text) {
					t.Error("a token works after its account was disabled")
				}
			}
		})
	})
}

func TestEndpoints(t *testing.T) {
	s := memory.New(nil)
	add(t, s, "alice")
	x := scheme(t, s, ring(t), nil)
	do := func(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	login := x.Login(anyone{"id-alice"})
	stale := form("alice", "x")
	stale.Header.Set("Authorization", "Token junk")
	for _, r := range []*http.Request{form("alice", "x"), stale} {
		w := do(login, r)
		var body struct{ Token string }
		must(t, json.Unmarshal(w.Body.Bytes(), &body))
		if w.Code != 200 || refused(t, x, body.Token) || w.Header().Get("Cache-Control") != "no-store" || len(w.Result().Cookies()) != 1 {
			t.Errorf("login: %d %s", w.Code, w.Body)
		}
	}
	wrong := do(x.Login(deny{}), form("alice", "x"))
	if wrong.Code != 401 || wrong.Header().Get("WWW-Authenticate") != "Token" || wrong.Body.String() != `{"detail":"Unable to log in with provided credentials.","code":"invalid_credentials"}` {
		t.Errorf("a refused login: %d %v %s", wrong.Code, wrong.Header(), wrong.Body)
	}
	// The account changed between the check of its password and the token.
	_, err := s.BumpEpoch(t.Context(), "id-alice")
	must(t, err)
	if w := do(login, form("alice", "x")); w.Code != 401 || w.Body.String() != wrong.Body.String() || w.Header().Get("WWW-Authenticate") != "Token" {
		t.Errorf("a stale login: %d %s", w.Code, w.Body)
	}
	if w := do(login, httptest.NewRequest("GET", "/", nil)); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}

	text, err := x.Token(t.Context(), "id-alice", epoch(t, s, "id-alice"))
	must(t, err)
	logout := x.Logout()
	post := func(authorization string) *http.Request {
		r := httptest.NewRequest("POST", "/logout", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		return r
	}
	for value, want := range map[string]string{"": `{"detail":"Authentication credentials were not provided."}`, "Token junk": `{"detail":"Invalid token."}`, "Basic YTpi": `{"detail":"Authentication credentials were not provided."}`} {
		if w := do(logout, post(value)); w.Code != 401 || w.Body.String() != want || w.Header().Get("WWW-Authenticate") != "Token" {
			t.Errorf("logout with %q: %d %s %v", value, w.Code, w.Body, w.Header())
		}
	}
	if w := do(logout, httptest.NewRequest("GET", "/", nil)); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	broken := scheme(t, readOnly{s}, sharedRing, nil)
	add(t, s, "bob")
	bobs, err := scheme(t, s, sharedRing, nil).Token(t.Context(), "id-bob", 0)
	must(t, err)
	old := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(old)
	if w := do(broken.Logout(), post("Token "+bobs)); w.Code != 503 || refused(t, broken, bobs) {
		t.Errorf("a logout that could not be written: %d", w.Code)
	}
	if w := do(logout, post("Token "+text)); w.Code != 204 || w.Body.Len() > 0 || !refused(t, x, text) {
		t.Errorf("logout: %d %s", w.Code, w.Body)
	}
	if w := do(logout, post("Token "+text)); w.Code != 401 {
		t.Errorf("a second logout: %d", w.Code)
	}
}

type deny struct{}

func (deny) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{}, authn.InvalidLogin()
}

func TestBearer(t *testing.T) {
	s := memory.New(nil)
	for realm, want := range map[string]string{"": `Bearer error="invalid_token"`, "api": `Bearer realm="api", error="invalid_token"`} {
		x := scheme(t, s, ring(t), &token.Options{Keyword: "Bearer", Realm: realm})
		if got := x.Challenge(nil, authn.AuthenticationFailed("")); got != want {
			t.Errorf("challenge %q", got)
		}
		if got := x.Challenge(nil, authn.ErrNoCredentials); strings.Contains(got, "error") {
			t.Errorf("challenge without a credential %q", got)
		}
	}
}

func TestConstruction(t *testing.T) {
	s, r := memory.New(nil), ring(t)
	for name, opts := range map[string]*token.Options{
		"keyword": {Keyword: "To ken"}, "keyword, colon": {Keyword: "a:"}, "realm": {Realm: `"`}, "prefix": {Prefix: "V"}, "format": {Format: 9},
	} {
		if _, err := token.New(s, r, opts); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := token.New(nil, r, nil); err == nil {
		t.Error("no store was taken")
	}
	if _, err := token.New(s, nil, nil); err == nil {
		t.Error("no ring was taken")
	}
}

// The hook that makes the application's own account.
func TestUserHook(t *testing.T) {
	s := memory.New(nil)
	add(t, s, "alice")
	var fail error
	x := scheme(t, s, ring(t), &token.Options{User: func(_ context.Context, u storage.User) (authn.User, error) { return mine(u.Name), fail }})
	text, err := x.Token(t.Context(), "id-alice", 0)
	must(t, err)
	id, err := x.Authenticate(with("Token " + text))
	if err != nil || id.User != mine("alice") {
		t.Errorf("%+v, %v", id, err)
	}
	fail = errors.New("down")
	if _, err := x.Authenticate(with("Token " + text)); !errors.Is(err, fail) {
		t.Errorf("got %v", err)
	}
}

type mine string

func (m mine) UserID() string { return string(m) }

func TestConformance(t *testing.T) {
	for format, junk := range map[token.Format]string{token.Prefixed: "Token vst_x", token.Hex40: "Token " + strings.Repeat("a", 40)} {
		s := memory.New(nil)
		add(t, s, "alice")
		x := scheme(t, s, ring(t), &token.Options{Format: format, Clock: time.Now})
		text, err := x.Token(t.Context(), "id-alice", 0)
		must(t, err)
		authntest.Run(t, authntest.Suite{
			Scheme: x,
			Good:   func(r *http.Request) { r.Header.Set("Authorization", "Token "+text) },
			Bad: map[string]func(*http.Request){
				"unknown": func(r *http.Request) { r.Header.Set("Authorization", junk) },
				"empty":   func(r *http.Request) { r.Header.Set("Authorization", "Token") },
			},
		})
	}
}

// An application's own table may say that an account is disabled without moving
// its epoch.
func TestDisabledWithoutAnEpoch(t *testing.T) {
	s := memory.New(nil)
	add(t, s, "alice")
	text, err := scheme(t, s, sharedRing, nil).Token(t.Context(), "id-alice", 0)
	must(t, err)
	if !refused(t, scheme(t, inactive{s}, sharedRing, nil), text) {
		t.Error("the token of a disabled account was taken")
	}
}

type inactive struct{ storagetest.Store }

func (s inactive) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	t, u, err := s.Store.StaticTokenByDigest(ctx, d)
	u.Active = false
	return t, u, err
}
