package throttle_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rate(t testing.TB, s string) throttle.Rate {
	t.Helper()
	r, err := throttle.ParseRate(s)
	must(t, err)
	return r
}

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// from returns a request from an address.
func from(addr string, cookies ...*http.Cookie) *http.Request {
	r := &http.Request{Method: "POST", URL: &url.URL{Path: "/"}, Header: http.Header{}, RemoteAddr: addr}
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func login(t testing.TB, s throttle.Store, o throttle.LoginOptions) *throttle.Login {
	t.Helper()
	o.Limits = only(o.Limits)
	l, err := throttle.NewLogin(s, &o)
	must(t, err)
	return l
}

// only returns the given limits without the default ones.
func only(l *throttle.LoginLimits) *throttle.LoginLimits {
	if l == nil {
		return nil
	}
	those := *l
	for fields, i := reflect.ValueOf(&those).Elem(), 0; i < fields.NumField(); i++ {
		if fields.Field(i).IsNil() {
			fields.Field(i).Set(reflect.ValueOf(throttle.Unlimited()))
		}
	}
	return &those
}

// reserve reserves an attempt at an existing account with epoch 0.
func reserve(t testing.TB, l *throttle.Login, r *http.Request, account string) authn.LoginAttempt {
	t.Helper()
	a, err := l.Reserve(r, account)
	must(t, err)
	must(t, a.(authn.AccountAttempt).Account(t.Context(), "id of "+account, 0))
	return a
}

// tries returns the number of consecutive attempts that are allowed.
func tries(t testing.TB, l *throttle.Login, account string, r func() *http.Request) int {
	t.Helper()
	for n := 0; ; n++ {
		_, err := l.Reserve(r(), account)
		if err == nil {
			if n > 10_000 {
				return n
			}
			continue
		}
		var e *authn.Error
		if !errors.As(err, &e) || e.Status != 429 || e.RetryAfter <= 0 {
			t.Fatalf("got %v", err)
		}
		return n
	}
}

var key32 = []byte("0123456789abcdef0123456789abcdef")

// spy records the calls of a store.
type spy struct {
	throttle.Store
	seen []throttle.Bucket
}

func (s *spy) Take(ctx context.Context, now time.Time, plans [][]throttle.Bucket) (throttle.Outcome, error) {
	for _, p := range plans {
		s.seen = append(s.seen, p...)
	}
	return s.Store.Take(ctx, now, plans)
}

// down is a store that fails.
type down struct{}

var errDown = errors.New("down")

func (down) Take(context.Context, time.Time, [][]throttle.Bucket) (throttle.Outcome, error) {
	return throttle.Outcome{}, errDown
}
func (down) Return(context.Context, time.Time, []throttle.Bucket) error { return errDown }
func (down) Mark(context.Context, time.Time, throttle.Key, throttle.Mark, int, time.Duration) error {
	return errDown
}
func (down) Marks(context.Context, time.Time, []throttle.Key) ([][]throttle.Mark, error) {
	return nil, errDown
}

var quiet = slog.New(slog.DiscardHandler)
