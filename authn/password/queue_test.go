package password_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Of a thousand concurrent logins, never more are hashed than there are slots; the others get 503
// and do not count.
func TestFlood(t *testing.T) {
	const slots = 1
	h, err := password.NewHasher(&password.HasherOptions{Slots: slots, MaxWait: 300 * time.Millisecond, MaxWaiting: 40})
	must(t, err)
	w := newWorld(t, h, password.Options{})
	w.register(t, "alice")
	t.Run("attack_202_hash_flood", func(t *testing.T) {
		var now, most, good, busy atomic.Int64
		h.OnHash(func() {
			for n, seen := now.Add(1), most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
		}, func() { now.Add(-1) })
		before := h.Hashed()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				_, err := w.login("alice", secret)
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
		if most.Load() != slots || good.Load() == 0 || busy.Load() == 0 || good.Load()+busy.Load() != 1000 {
			t.Errorf("at most %d at once, %d good, %d busy", most.Load(), good.Load(), busy.Load())
		}
		if n := h.Hashed() - before; n != good.Load() {
			t.Errorf("%d hashes for %d logins", n, good.Load())
		}
		if n := w.limiter.cancelled.Load(); n != busy.Load() {
			t.Errorf("%d units given back for %d that were turned away", n, busy.Load())
		}
		if taken, waiting := h.Slots(); taken != 0 || waiting != 0 {
			t.Errorf("%d slots and %d places are still taken", taken, waiting)
		}
		t.Logf("%d logins got in, %d were turned away, %d hash at once", good.Load(), busy.Load(), most.Load())
	})
}

// full returns a hasher whose only slot is in use until release is called.
func full(t testing.TB, maxWait time.Duration, maxWaiting int) (h *password.Hasher, release func()) {
	t.Helper()
	h, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: maxWait, MaxWaiting: maxWaiting})
	must(t, err)
	release, err = h.Hold(t.Context(), "first")
	must(t, err)
	return h, release
}

func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, release := full(t, time.Minute, 40)
		var got, want []int
		for i := range 20 {
			want = append(want, i)
			go func() {
				release, err := h.Hold(t.Context(), fmt.Sprint("source", i))
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, i)
				release()
			}()
			synctest.Wait()
		}
		release()
		synctest.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("who came first was not served first: %v", got)
		}
	})
}

func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, release := full(t, 300*time.Millisecond, 8)
		begin := time.Now()
		results := make(chan error, 16)
		enter := func(source string) {
			go func() {
				_, err := h.Hash(t.Context(), source, "x")
				results <- err
			}()
			synctest.Wait()
		}
		expect := func(what string, after time.Duration, n int) {
			t.Helper()
			if len(results) != n {
				t.Errorf("%s: %d were turned away, want %d", what, len(results), n)
			}
			for range n {
				var u *authn.Unavailable
				if err := <-results; !errors.As(err, &u) || u.RetryAfter != 300*time.Millisecond || time.Since(begin) != after {
					t.Errorf("%s: after %v: %v", what, time.Since(begin), err)
				}
			}
		}
		enter("greedy")
		enter("greedy")
		expect("within a share", 0, 0)
		enter("greedy")
		expect("beyond the share of a quarter", 0, 1)
		for _, source := range []string{"a", "b", "c", "d", "e", "f"} {
			enter(source)
		}
		expect("all places", 0, 0)
		enter("g")
		expect("beyond all places", 0, 1)
		time.Sleep(300*time.Millisecond - 1)
		synctest.Wait()
		expect("before the wait is over", 0, 0)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		expect("the wait is over", 300*time.Millisecond, 8)
		release()
		if taken, waiting := h.Slots(); taken != 0 || waiting != 0 {
			t.Errorf("%d slots and %d places are still taken", taken, waiting)
		}
		enter("greedy")
		if err := <-results; err != nil {
			t.Errorf("a place was not given back: %v", err)
		}
	})
}

func TestQueueCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, release := full(t, time.Minute, 4)
		w := newWorld(t, h, password.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := w.checker.CheckPassword(httptest.NewRequestWithContext(ctx, "POST", "/", nil), "alice", secret)
			result <- err
		}()
		synctest.Wait()
		if _, waiting := h.Slots(); waiting != 1 {
			t.Fatalf("%d wait", waiting)
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) || status(err) != 503 {
			t.Errorf("got %v", err)
		}
		if taken, waiting := h.Slots(); taken != 1 || waiting != 0 || h.Hashed() != 0 {
			t.Errorf("%d slots, %d places, %d hashes", taken, waiting, h.Hashed())
		}
		if n := w.limiter.cancelled.Load(); n != 1 {
			t.Errorf("%d units given back", n)
		}
		release()
	})
}

// The share is counted for the network of the connection.
func TestQueueSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, release := full(t, time.Minute, 8)
		c, err := password.New(memory.New(nil), h, nil)
		must(t, err)
		var busy, other atomic.Int64
		for _, address := range []string{
			"[2001:db8::1]:1", "[2001:db8:0:1::2]:2", "[2001:db8:0:ffff::3]:3", "[2001:db8:1::1]:1",
			"192.0.2.1:1", "192.0.2.2:2", "192.0.2.255:3", "192.0.3.1:1",
		} {
			go func() {
				r := httptest.NewRequest("POST", "/", nil).WithContext(t.Context())
				r.RemoteAddr = address
				switch _, err := c.CheckPassword(r, "alice", secret); status(err) {
				case 503:
					busy.Add(1)
				case 401:
					other.Add(1)
				}
			}()
			synctest.Wait()
		}
		if _, waiting := h.Slots(); busy.Load() != 2 || waiting != 6 {
			t.Errorf("%d were turned away and %d wait; want the third of one IPv6 /48 and the third of one IPv4 /24 away", busy.Load(), waiting)
		}
		release()
		time.Sleep(time.Minute) // the floor
		synctest.Wait()
		if other.Load() != 6 {
			t.Errorf("%d were answered", other.Load())
		}
	})
}

// The minimum time counts from the start of the hash, so that a long wait does not reveal how long
// the hash took. The wait for it holds no slot and ends with the request.
func TestFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, release := full(t, time.Minute, 8)
		c, err := password.New(memory.New(nil), h, nil)
		must(t, err)
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		took := make(chan time.Duration, 1)
		login := func(ctx context.Context) {
			if _, err := c.CheckPassword(httptest.NewRequestWithContext(ctx, "POST", "/", nil), "nobody", secret); status(err) != 401 {
				t.Error(err)
			}
			took <- time.Since(begin)
		}
		go login(t.Context())
		time.Sleep(700 * time.Millisecond)
		release()
		time.Sleep(300 * time.Millisecond)
		if taken, waiting := h.Slots(); taken != 0 || waiting != 0 || h.Hashed() != 1 {
			t.Errorf("the floor holds %d slots and %d places; %d hashes", taken, waiting, h.Hashed())
		}
		if d := <-took; d != 1200*time.Millisecond {
			t.Errorf("answered after %v, want 700 ms in the queue and 500 ms", d)
		}
		begin = time.Now()
		go login(ctx)
		time.Sleep(100 * time.Millisecond)
		cancel()
		if d := <-took; d != 100*time.Millisecond {
			t.Errorf("the client left after 100 ms, the floor ended after %v", d)
		}
	})
}
