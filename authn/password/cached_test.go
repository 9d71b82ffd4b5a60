package password_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

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
	t.Run("attack_197_cached", func(t *testing.T) {
		w.limiter.left.Store(1)
		expect("a wrong password", hashes("alice", "wrong", 401), 1)
		expect("the right one behind it, without a unit", hashes("alice", secret, 429), 0)
		w.limiter.left.Store(units)
		expect("the right one again", hashes("alice", secret, 200), 1)
	})
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
	if n := password.Entries(c); n != 4 {
		t.Errorf("%d entries, want 4", n)
	}
	expect("a name that is none", hashes("a b", secret, 401), 1)
	expect("a password that is too long", hashes("user9", strings.Repeat("x", 1025), 400), 0)
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, secret) {
		t.Error("a password is printed")
	}
}

// An account that cannot be read does not count as unknown.
func TestCachedStoreDown(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	w.register(t, "alice")
	flaky := &noReads{Store: w.store}
	checker, err := password.New(flaky, w.hasher, &password.Options{Limiter: w.limiter})
	must(t, err)
	c, err := password.Cached(checker, &password.CacheOptions{TTL: time.Minute})
	must(t, err)
	r := httptest.NewRequest("GET", "/", nil)
	if _, err := c.CheckPassword(r, "alice", secret); err != nil {
		t.Fatal(err)
	}
	flaky.down.Store(true)
	before := w.hasher.Hashed()
	if _, err := c.CheckPassword(r, "alice", secret); status(err) != 503 || w.hasher.Hashed() != before {
		t.Errorf("got %v after %d hashes", err, w.hasher.Hashed()-before)
	}
	flaky.down.Store(false)
	if _, err := c.CheckPassword(r, "alice", secret); err != nil || w.hasher.Hashed() != before {
		t.Errorf("afterwards: %v", err)
	}
}

type noReads struct {
	*memory.Store
	down atomic.Bool
}

func (s *noReads) UserByID(ctx context.Context, id string) (storage.User, error) {
	if s.down.Load() {
		return storage.User{}, errors.New("down")
	}
	return s.Store.UserByID(ctx, id)
}

// Many concurrent first requests with the same right password cost one hash. Each wrong password is
// hashed and counted.
func TestCachedTogether(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	w.register(t, "alice")
	c, err := password.Cached(w.checker, nil)
	must(t, err)
	for pw, want := range map[string]int{secret: 200, "wrong": 401} {
		n := int64(64)
		if want != 200 {
			n = 8
		}
		hashed, units := w.hasher.Hashed(), w.limiter.left.Load()
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if _, err := c.CheckPassword(httptest.NewRequest("GET", "/", nil), "alice", pw); status(err) != want {
					t.Errorf("%s: %v, want %d", pw, err, want)
				}
			})
		}
		wg.Wait()
		hashes, counted := w.hasher.Hashed()-hashed, units-w.limiter.left.Load()
		expected := int64(1)
		if want != 200 {
			expected = n
		}
		if hashes != expected || counted != expected {
			t.Errorf("%s: %d hashes and %d units, want %d", pw, hashes, counted, expected)
		}
	}
}

// A request that waits for another's check stops waiting when it ends.
func TestCachedWaitEnds(t *testing.T) {
	h, err := password.NewHasher(&password.HasherOptions{Params: password.Params{Memory: 7168, Time: 5, Threads: 1}, Slots: 1, MaxWait: time.Minute})
	must(t, err)
	w := newWorld(t, h, password.Options{})
	w.register(t, "alice")
	c, err := password.Cached(w.checker, nil)
	must(t, err)
	release, err := h.Hold(t.Context(), "")
	must(t, err)
	first := make(chan error)
	go func() {
		_, err := c.CheckPassword(httptest.NewRequest("GET", "/", nil), "alice", secret)
		first <- err
	}()
	for _, waiting := h.Slots(); waiting == 0; _, waiting = h.Slots() {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.CheckPassword(httptest.NewRequest("GET", "/", nil).WithContext(ctx), "alice", secret); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that has ended: %v", err)
	}
	release()
	must(t, <-first)
}

// An entry is valid for the address that the limits count as one source.
func TestCachedSource(t *testing.T) {
	list := []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "[::ffff:192.0.2.1]:3", "[2001:db8::1]:1", "[2001:db8::2:0:0:0:1%eth0]:1", "[2001:db8:0:1::1]:1", "192.0.2.1", "junk", ""}
	for _, a := range list {
		for _, b := range list {
			one, other := httptest.NewRequest("GET", "/", nil), httptest.NewRequest("GET", "/", nil)
			one.RemoteAddr, other.RemoteAddr = a, b
			text := func(addr string) string {
				r := httptest.NewRequest("GET", "/", nil)
				r.RemoteAddr = addr
				return authn.NetworkOf(authn.TrustedProxies{}.ClientAddr(r))
			}
			if got, want := password.SourceOf(one) == password.SourceOf(other), text(a) == text(b); got != want {
				t.Errorf("%q and %q: one source %t, want %t", a, b, got, want)
			}
		}
	}
}
