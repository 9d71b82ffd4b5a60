package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// Rates whose window is not a multiple of the limit are exact too.
func TestDenseRates(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	now := newClock().now()
	for _, r := range []throttle.Rate{{999_983, time.Second}, {1_000_000, time.Second}, {7, 10}, {10, 1}, {3, 2 * time.Nanosecond}} {
		m, n := throttle.NewMemory(nil), 0
		for n <= r.Limit+1 && take(t, m, now, bucket("a", r)) == 0 {
			n++
		}
		if n != r.Limit {
			t.Errorf("%v: %d immediate units", r, n)
		}
	}
}

// A short-term and a long-term limit of one user, in one store and with one name key, have separate
// counts.
func TestTwoLimitsOfOneCaller(t *testing.T) {
	c := newClock()
	store, opts := throttle.NewMemory(nil), &throttle.Options{NameKey: key32, Clock: c.now}
	burst, err := throttle.User(store, throttle.Rate{Limit: 3, Window: time.Second}, opts)
	must(t, err)
	sustained, err := throttle.User(store, throttle.Rate{Limit: 10, Window: 24 * time.Hour}, opts)
	must(t, err)
	served := 0
	h := sustained(burst(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })))
	for range 100 {
		h.ServeHTTP(httptest.NewRecorder(), authntest.As(from("192.0.2.1:1"), authn.Identity{Subject: "alice"}))
		c.add(time.Second)
	}
	if served != 10 {
		t.Errorf("%d requests served, the limit is 10 a day", served)
	}
}

// Limiters with a random name key share it, so a store counts an account once, whichever limiter is
// used.
func TestSharedNames(t *testing.T) {
	c := newClock()
	store := throttle.NewMemory(nil)
	o := throttle.LoginOptions{Limits: &throttle.LoginLimits{Account: []throttle.Rate{{10, time.Minute}}}, Clock: c.now}
	n := 0
	anywhere := func() *http.Request { n++; return from(fmt.Sprintf("203.0.113.%d:1", n)) }
	if got := tries(t, login(t, store, o), "alice", anywhere); got != 10 {
		t.Fatalf("%d", got)
	}
	if got := tries(t, login(t, store, o), "alice", anywhere); got != 0 {
		t.Errorf("a second limiter over the same store gives %d more attempts", got)
	}
}

// flaky is a store that can be switched off.
type flaky struct {
	*throttle.Memory
	down bool
}

func (f *flaky) Take(ctx context.Context, now time.Time, plans [][]throttle.Bucket) (throttle.Outcome, error) {
	if f.down {
		return throttle.Outcome{}, errors.New("down")
	}
	return f.Memory.Take(ctx, now, plans)
}

func (f *flaky) Return(ctx context.Context, now time.Time, b []throttle.Bucket) error {
	if f.down {
		return errors.New("down")
	}
	return f.Memory.Return(ctx, now, b)
}

// Units return to the store that counted them, and never to a full bucket.
func TestGiveBackWhereTaken(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, down := range []bool{true, false} {
		s := &flaky{Memory: throttle.NewMemory(nil)}
		l := login(t, s, throttle.LoginOptions{Limits: &throttle.LoginLimits{Account: []throttle.Rate{{3, time.Hour}}}, Clock: newClock().now, Logger: quiet})
		reserve := func() (authn.LoginAttempt, error) { return l.Reserve(from("192.0.2.1:1"), "alice") }
		s.down = !down // one failure counted on the other side
		_, err := reserve()
		must(t, err)
		s.down = down
		a, err := reserve()
		must(t, err)
		s.down = !down
		a.Succeeded(t.Context())
		left := 0
		for {
			if _, err := reserve(); err != nil {
				break
			}
			left++
		}
		if left != 2 {
			t.Errorf("taken while down=%t, given back while not: %d of 3 left on the other side, want 2", down, left)
		}
	}
}

func TestOptionsAreCopied(t *testing.T) {
	rates := []throttle.Rate{{2, time.Minute}}
	limits := &throttle.LoginLimits{Account: rates}
	l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: limits, Clock: newClock().now})
	rates[0].Limit = 1000
	limits.Account = nil
	throttle.DefaultLoginLimits().Account[0].Limit = 1
	limits.Scale(5, 1)
	if got := tries(t, l, "alice", func() *http.Request { return from("192.0.2.1:1") }); got != 2 {
		t.Errorf("%d attempts after the caller changed its slice", got)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	o := throttle.LoginOptions{NameKey: key32, DeviceKey: key32}
	ro := throttle.Options{NameKey: key32}
	l := login(t, throttle.NewMemory(nil), o)
	log := new(strings.Builder)
	slog.New(slog.NewJSONHandler(log, nil)).Info("x", "key", o.DeviceKey)
	for _, text := range []string{fmt.Sprintf("%x", o.NameKey), fmt.Sprintf("%#v", o.NameKey), o.NameKey.String(), o.NameKey.GoString(), o.NameKey.LogValue().String()} {
		if text != "[redacted]" {
			t.Errorf("a key is printed as %q", text)
		}
	}
	raw, numbers, coded := string(key32), strings.Trim(fmt.Sprint([]byte(key32[:8])), "[]"), "MDEyMzQ1Njc4"
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", o, o, o, o.DeviceKey), fmt.Sprintf("%+v %#v %x", ro, ro, ro.NameKey), fmt.Sprintf("%+v %#v", l, l), log.String()} {
		for _, bad := range []string{raw, numbers, coded, "30313233", "0x30, 0x31"} {
			if strings.Contains(text, bad) {
				t.Errorf("a key is printed: %s", text)
			}
		}
	}
}
