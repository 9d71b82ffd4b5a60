package password_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func base64Std(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// world is a checker on a clock that only its own sleeps move.
type world struct {
	store   *memory.Store
	hasher  *password.Hasher
	limiter *limiter
	checker *password.Checker
	mu      sync.Mutex
	now     time.Time
	slept   time.Duration
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) sleep(_ context.Context, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.slept = w.now.Add(d), w.slept+d
}

// limiter lets a number of attempts through and counts what becomes of them.
type limiter struct {
	left                 atomic.Int64
	succeeded, cancelled atomic.Int64
	mu                   sync.Mutex
	accounts             []string
}

func (l *limiter) Reserve(_ *http.Request, account string) (authn.LoginAttempt, error) {
	l.mu.Lock()
	l.accounts = append(l.accounts, account)
	l.mu.Unlock()
	if l.left.Add(-1) < 0 {
		return nil, authn.Throttled(time.Minute)
	}
	return reserved{l}, nil
}

type reserved struct{ l *limiter }

func (r reserved) Succeeded(context.Context) []*http.Cookie {
	r.l.succeeded.Add(1)
	return []*http.Cookie{{Name: "device"}}
}
func (r reserved) Cancelled(context.Context) { r.l.cancelled.Add(1) }
func (reserved) Source() string              { return "192.0.2.1" }

const secret = "wonderland-42"

func newWorld(t testing.TB, hasher *password.Hasher, opts password.Options) *world {
	t.Helper()
	w := &world{store: memory.New(nil), hasher: hasher, limiter: new(limiter), now: time.Unix(1_800_000_000, 0)}
	w.limiter.left.Store(1_000_000)
	opts.Limiter, opts.Clock, opts.Sleep = w.limiter, w.clock, w.sleep
	if opts.Canonical == nil {
		opts.Canonical = username.Canonical
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	var err error
	w.checker, err = password.New(w.store, hasher, &opts)
	must(t, err)
	return w
}

func (w *world) register(t testing.TB, name string) storage.User {
	t.Helper()
	u, err := w.checker.Register(t.Context(), password.NewUser{Name: name, Password: secret, Email: name + "@example.com", Roles: []string{"staff"}})
	must(t, err)
	return u
}

func (w *world) login(name, pw string) (authn.Login, error) {
	return w.checker.CheckPassword(httptest.NewRequest("POST", "/", nil), name, pw)
}

func status(err error) int {
	var e *authn.Error
	switch {
	case err == nil:
		return 200
	case errors.As(err, &e):
		return e.Status
	}
	return 503
}

func TestLogin(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	u := w.register(t, "Alice")
	must(t, w.store.SetSubjectPermissions(t.Context(), u.ID, []string{"app.x"}))
	n, err := w.store.BumpEpoch(t.Context(), u.ID)
	must(t, err)
	l, err := w.login(" ALICE ", secret)
	must(t, err)
	who, ok := l.User.(*storage.User)
	if l.Subject != u.ID || l.Name != "alice" || l.Epoch != n || len(l.Cookies) != 1 || !ok || l.Roles[0] != "staff" {
		t.Errorf("%+v", l)
	}
	if has, err := who.HasPerm(t.Context(), "app.x"); !has || err != nil {
		t.Errorf("permissions do not come along: %t, %v", has, err)
	}
	if w.limiter.succeeded.Load() != 1 || w.slept != 0 {
		t.Errorf("given back %d, slept %v", w.limiter.succeeded.Load(), w.slept)
	}
}

func TestAttacksOnLogin(t *testing.T) {
	h := cheap()
	w := newWorld(t, h, password.Options{FailureFloor: time.Second})
	alice := w.register(t, "alice")
	w.register(t, "disabled")
	disabled, err := w.store.UserByName(t.Context(), "disabled")
	must(t, err)
	must(t, w.store.SetActive(t.Context(), disabled.ID, false))
	for name, hash := range map[string]storage.PasswordHash{"unusable": "!abc", "sso": "", "malformed": "pbkdf2_sha256$x", "weak": "pbkdf2_sha256$1000$ftrDc7OYl17m$6V9Bl2wSaFp3sy77S+ED5gDyd/AEifojHyjYBQuFT8E="} {
		must(t, w.store.CreateUser(t.Context(), storage.User{ID: name, Name: name, Password: hash, Active: true}))
	}
	t.Run("attack_191_attack_192_one_answer_one_hash_one_floor", func(t *testing.T) {
		for name, pw := range map[string]string{
			"alice": "wrong", "nobody": secret, "disabled": secret, "unusable": "", "sso": "", "malformed": "x", "weak": "wrong",
			"a\x00b": secret, "\xff": secret, "": "x", strings.Repeat("x", 5000): secret, "a b": secret, "alice.": secret,
		} {
			before, slept, mark := h.Hashed(), w.slept, w.clock()
			_, err := w.login(name, pw)
			var e *authn.Error
			if !errors.As(err, &e) || e.Status != 401 || e.Detail != "Unable to log in with provided credentials." || e.Code != "invalid_credentials" {
				t.Errorf("%.20q: %v", name, err)
			}
			if n := h.Hashed() - before; n != 1 {
				t.Errorf("%.20q: %d hashes", name, n)
			}
			if w.slept-slept != time.Second || w.clock().Sub(mark) != time.Second {
				t.Errorf("%.20q: answered after %v", name, w.clock().Sub(mark))
			}
			if w.limiter.cancelled.Load() != 0 {
				t.Errorf("%.20q: its unit was given back", name)
			}
		}
	})
	t.Run("attack_193_too_long", func(t *testing.T) {
		before, units := h.Hashed(), w.limiter.left.Load()
		for _, n := range []int{1025, 1 << 20} {
			if _, err := w.login("alice", strings.Repeat("x", n)); status(err) != 400 {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
		if h.Hashed() != before || w.limiter.left.Load() != units {
			t.Error("a password that is too long was hashed or counted")
		}
		if _, err := w.login("alice", strings.Repeat("x", 1024)); status(err) != 401 {
			t.Errorf("1024 bytes: %v", err)
		}
	})
	t.Run("attack_194_forms_of_a_password", func(t *testing.T) {
		for _, pw := range []string{" " + secret, secret + " ", strings.ToUpper(secret), "\uff57onderland-42", "wonder\u200bland-42", "wonderland\u201042"} {
			if _, err := w.login("alice", pw); status(err) != 401 {
				t.Errorf("%q: %v", pw, err)
			}
		}
	})
	t.Run("attack_195_attack_201_one_account_one_name", func(t *testing.T) {
		for _, name := range []string{"ALICE", "\uff21lice", " alice ", "aLiCe"} {
			w.limiter.accounts = nil
			if _, err := w.login(name, secret); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if len(w.limiter.accounts) != 1 || w.limiter.accounts[0] != "alice" {
				t.Errorf("%q is counted as %q", name, w.limiter.accounts)
			}
			if _, err := w.checker.Register(t.Context(), password.NewUser{Name: name, Password: secret}); status(err) != 400 {
				t.Errorf("%q is a second account: %v", name, err)
			}
		}
	})
	t.Run("attack_199_guesses_at_once", func(t *testing.T) {
		before := h.Hashed()
		w.limiter.left.Store(10)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if _, err := w.login("alice", fmt.Sprint("guess", i)); status(err) != 401 && status(err) != 429 {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := h.Hashed() - before; n != 10 {
			t.Errorf("%d hashes for a limit of 10", n)
		}
		w.limiter.left.Store(1_000_000)
	})
	t.Run("attack_203_rehash_fails", func(t *testing.T) {
		if _, err := w.login("weak", "correct horse battery staple"); status(err) != 200 {
			t.Errorf("a weak hash: %v", err)
		}
		u, err := w.store.UserByName(t.Context(), "weak")
		must(t, err)
		if !strings.HasPrefix(string(u.Password), "$argon2id$") {
			t.Error("the hash was not renewed")
		}
		if _, err := w.login("weak", "correct horse battery staple"); status(err) != 200 {
			t.Errorf("the renewed hash: %v", err)
		}
		must(t, w.store.CreateUser(t.Context(), storage.User{ID: "w2", Name: "w2", Active: true, Password: "pbkdf2_sha256$1000$ftrDc7OYl17m$6V9Bl2wSaFp3sy77S+ED5gDyd/AEifojHyjYBQuFT8E="}))
		ro, err := password.New(noRehash{w.store}, h, &password.Options{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		if _, err := ro.CheckPassword(httptest.NewRequest("POST", "/", nil), "w2", "correct horse battery staple"); err != nil {
			t.Errorf("a failed rehash failed the login: %v", err)
		}
	})
	t.Run("store_is_down", func(t *testing.T) {
		down, err := password.New(broken{w.store}, h, &password.Options{Limiter: w.limiter})
		must(t, err)
		before, given := h.Hashed(), w.limiter.cancelled.Load()
		if _, err := down.CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", secret); status(err) != 503 {
			t.Errorf("got %v", err)
		}
		if h.Hashed() != before || w.limiter.cancelled.Load() != given+1 {
			t.Error("a login that could not be decided was hashed, or kept its unit")
		}
	})
	t.Run("password_change", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/", nil)
		if err := w.checker.ChangePassword(r, "alice", "wrong", "new password"); status(err) != 401 {
			t.Errorf("a wrong old password: %v", err)
		}
		if err := w.checker.ChangePassword(r, "alice", secret, "short"); status(err) != 400 {
			t.Errorf("a short new password: %v", err)
		}
		must(t, w.checker.ChangePassword(r, "alice", secret, "new password"))
		if _, err := w.login("alice", secret); status(err) != 401 {
			t.Errorf("the old password: %v", err)
		}
		l, err := w.login("alice", "new password")
		must(t, err)
		if l.Epoch <= alice.Epoch {
			t.Error("the epoch did not move")
		}
		if err := w.checker.SetPassword(r.Context(), "nobody", "new password"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("nobody's password: %v", err)
		}
	})
}

type noRehash struct{ *memory.Store }

func (noRehash) ReplaceHash(context.Context, string, storage.PasswordHash, storage.PasswordHash) error {
	return errors.New("read-only")
}

type broken struct{ *memory.Store }

func (broken) UserByName(context.Context, string) (storage.User, error) {
	return storage.User{}, errors.New("down")
}

// A thousand logins at once: never more hashes than slots, the rest told to come
// back, and their units given back.
func TestFlood(t *testing.T) {
	h, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: 300 * time.Millisecond, MaxWaiting: 40})
	must(t, err)
	w := newWorld(t, h, password.Options{})
	w.register(t, "alice")
	t.Run("attack_202_hash_flood", func(t *testing.T) {
		var most, good, busy atomic.Int64
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				default:
					taken, waiting := h.Slots()
					if int64(taken) > most.Load() {
						most.Store(int64(taken))
					}
					if waiting > 40 {
						t.Errorf("%d wait", waiting)
						return
					}
				}
			}
		}()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				r := httptest.NewRequest("POST", "/", nil)
				_ = i
				_, err := w.checker.CheckPassword(r, "alice", secret)
				var u *authn.Unavailable
				switch {
				case err == nil:
					good.Add(1)
				case errors.As(err, &u) && u.RetryAfter > 0:
					busy.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(done)
		if most.Load() > 1 || good.Load() == 0 || busy.Load() == 0 || good.Load()+busy.Load() != 1000 {
			t.Errorf("at most %d at once, %d good, %d busy", most.Load(), good.Load(), busy.Load())
		}
		if n := w.limiter.cancelled.Load(); n != busy.Load() {
			t.Errorf("%d units given back for %d that were turned away", n, busy.Load())
		}
		if taken, waiting := h.Slots(); taken != 0 || waiting != 0 {
			t.Errorf("%d slots and %d places are still taken", taken, waiting)
		}
	})
}

func TestQueueShares(t *testing.T) {
	h, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: time.Minute, MaxWaiting: 8})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var turnedAway atomic.Int64
	for range 64 {
		wg.Go(func() {
			_, err := h.Hash(ctx, "greedy", "x")
			var u *authn.Unavailable
			if errors.As(err, &u) {
				turnedAway.Add(1)
			}
		})
	}
	if _, err := h.Hash(t.Context(), "modest", "x"); err != nil {
		t.Errorf("one source took all places: %v", err)
	}
	cancel()
	wg.Wait()
	if turnedAway.Load() == 0 {
		t.Error("a source has no share")
	}
	if taken, waiting := h.Slots(); taken != 0 || waiting != 0 {
		t.Errorf("%d slots and %d places are still taken", taken, waiting)
	}
}

func TestRegister(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{Validate: func(_ context.Context, u storage.User, pw string) error {
		if strings.Contains(pw, u.Name) {
			return errors.New("The password is too similar to the username.")
		}
		return nil
	}})
	before := w.hasher.Hashed()
	for field, n := range map[string][]password.NewUser{
		"username": {{Name: "", Password: secret}, {Name: "a b", Password: secret}, {Name: "a\u200db", Password: secret}, {Name: "\ufb01x", Password: secret}, {Name: "x.", Password: secret}, {Name: strings.Repeat("x", 151), Password: secret}},
		"password": {{Name: "bob", Password: "1234567"}, {Name: "bob", Password: ""}, {Name: "bob", Password: "with\x00null"}, {Name: "bob", Password: "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"}, {Name: "bob", Password: strings.Repeat("x", 1025)}, {Name: "bob", Password: "iambobiambob"}},
	} {
		for _, x := range n {
			_, err := w.checker.Register(t.Context(), x)
			var e *authn.Error
			if !errors.As(err, &e) || e.Status != 400 || len(e.Members) != 1 || e.Members[0].Name != field {
				t.Errorf("%s: %v", x, err)
			}
		}
	}
	if w.hasher.Hashed() != before {
		t.Error("a refused registration was hashed")
	}
	var seen storage.User
	u, err := w.checker.Register(t.Context(), password.NewUser{Name: "Bob", Password: secret, Email: "b@example.com"}, func(ctx context.Context, u storage.User) error {
		seen = u
		_, err := w.store.UserByID(ctx, u.ID)
		return err
	})
	must(t, err)
	if u.Name != "bob" || seen.ID != u.ID || len(u.ID) < 20 || !u.Active {
		t.Errorf("%+v", u)
	}
	failed := errors.New("hook failed")
	if _, err := w.checker.Register(t.Context(), password.NewUser{Name: "carol", Password: secret}, func(context.Context, storage.User) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if _, err := w.store.UserByName(t.Context(), "carol"); !errors.Is(err, storage.ErrNotFound) {
		t.Error("an account is there though its hook failed")
	}
	if text := fmt.Sprintf("%v %+v %#v", password.NewUser{Password: secret}, password.NewUser{Password: secret}, password.NewUser{Password: secret}); strings.Contains(text, secret) {
		t.Errorf("a password is printed: %s", text)
	}
}

func TestCached(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	u := w.register(t, "alice")
	for _, bad := range []password.CacheOptions{{TTL: 61 * time.Second}, {TTL: -1}, {MaxEntries: -1}} {
		if _, err := password.Cached(w.checker, &bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	c, err := password.Cached(w.checker, &password.CacheOptions{TTL: 30 * time.Second, MaxEntries: 4})
	must(t, err)
	hashes := func(name, pw string, want int) int64 {
		t.Helper()
		before := w.hasher.Hashed()
		_, err := c.CheckPassword(httptest.NewRequest("GET", "/", nil), name, pw)
		if status(err) != want {
			t.Errorf("%s, %s: %v, want %d", name, pw, err, want)
		}
		return w.hasher.Hashed() - before
	}
	expect := func(what string, got, want int64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d hashes, want %d", what, got, want)
		}
	}
	expect("the first", hashes("alice", secret, 200), 1)
	units := w.limiter.left.Load()
	expect("a hit", hashes("ALICE", secret, 200), 0)
	if w.limiter.left.Load() != units {
		t.Error("a hit was counted")
	}
	expect("a wrong password", hashes("alice", "wrong", 401), 1)
	expect("a wrong password again", hashes("alice", "wrong", 401), 1)
	expect("another split of the same text", hashes("alic", "e"+secret, 401), 1)
	w.sleep(t.Context(), 30*time.Second)
	expect("at the end of its time", hashes("alice", secret, 200), 1)
	_, err = w.store.BumpEpoch(t.Context(), u.ID)
	must(t, err)
	expect("after the epoch moved", hashes("alice", secret, 200), 1)
	expect("a hit again", hashes("alice", secret, 200), 0)
	must(t, w.checker.SetPassword(t.Context(), u.ID, "another one"))
	expect("an old password", hashes("alice", secret, 401), 1)
	expect("the new one", hashes("alice", "another one", 200), 1)
	must(t, w.store.SetActive(t.Context(), u.ID, false))
	expect("disabled", hashes("alice", "another one", 401), 1)
	for i := range 10 {
		name := fmt.Sprint("user", i)
		w.register(t, name)
		expect(name, hashes(name, secret, 200), 1)
	}
	expect("the newest is there", hashes("user9", secret, 200), 0)
}
