package introspect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/introspect"
)

// asks fails unless f makes the issuer be asked n times.
func (a *abroad) asks(t *testing.T, n int64, what string, f func()) {
	t.Helper()
	before := a.asked.Load()
	f()
	if got := a.asked.Load() - before; got != n {
		t.Errorf("%s: the issuer was asked %d times, want %d", what, got, n)
	}
}

func TestIntrospectorCache(t *testing.T) {
	a := newAbroad(t, nil)
	is := func(token, want string) func() {
		return func() {
			t.Helper()
			if got := outcome(a, token); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", token, got, want)
			}
		}
	}
	a.asks(t, 1, "first", is("good", "200"))
	a.set("good", `{"active":false}`)
	a.pass(time.Minute - 1)
	a.asks(t, 0, "kept", is("good", "200"))
	a.pass(1)
	a.asks(t, 1, "a minute old", is("good", "401"))
	// Not live: a second, and no longer.
	a.set("good", live)
	a.pass(time.Second - 1)
	a.asks(t, 0, "known to be dead", is("good", "401"))
	a.pass(1)
	a.asks(t, 1, "a second old", is("good", "200"))
	a.asks(t, 0, "another text", func() {
		if got := outcome(a.another(t, "https://api.example", func(o *introspect.Options) { o.Prefix = "g" }), "Good"); got[:3] != "401" {
			t.Error(got)
		}
	})
	// Forget asks again.
	a.Forget("good")
	a.asks(t, 1, "forgotten", is("good", "200"))
	// Never beyond its expiry.
	a.set("short", strings.Replace(live, "1770178000", fmt.Sprint(a.clock().Unix()+10), 1))
	a.asks(t, 1, "short", is("short", "200"))
	a.pass(10*time.Second - 1 - time.Duration(a.clock().Nanosecond()))
	a.asks(t, 0, "before its end", is("short", "200"))
	a.pass(1)
	a.asks(t, 1, "at its end", is("short", "401"))
	off := a.another(t, "https://api.example", func(o *introspect.Options) { o.CacheTTL = -1 })
	off.Forget("good")
	a.asks(t, 4, "no cache", func() {
		for _, token := range []string{"good", "good", "x", "x"} {
			_ = outcome(off, token)
		}
	})
	brief := a.another(t, "https://api.example", func(o *introspect.Options) { o.CacheTTL = time.Millisecond })
	a.asks(t, 2, "a brief cache bounds what is dead, too", func() {
		_ = outcome(brief, "x")
		a.pass(time.Millisecond)
		_ = outcome(brief, "x")
	})
}

// A token that one API may take is not good at another one because the answer is known.
func TestIntrospectorConfusion(t *testing.T) {
	t.Run("attack_174_confusion", func(t *testing.T) {
		a := newAbroad(t, nil)
		files := a.another(t, "https://files.example", nil)
		for range 2 {
			if here, there := outcome(a, "good"), outcome(files, "good"); here != "200" || there != "401 for another audience" {
				t.Errorf("%s, %s", here, there)
			}
		}
		// A hit is checked anew: time passes, the answer does not.
		a.set("later", strings.Replace(live, `"exp"`, `"nbf":1770091516,"exp"`, 1))
		if got := outcome(a, "later"); got != "401 not valid yet" {
			t.Error(got)
		}
		a.asks(t, 0, "known", func() {
			a.pass(10 * time.Second)
			if got := outcome(a, "later"); got != "200" {
				t.Error(got)
			}
		})
	})
}

// Made-up tokens neither push out the good ones nor grow without a bound.
func TestIntrospectorFlood(t *testing.T) {
	t.Run("attack_173_random_tokens", func(t *testing.T) {
		var asked int
		a := newAbroad(t, nil)
		i := a.another(t, "https://api.example", func(o *introspect.Options) {
			o.UnknownRate = 1 << 30
			o.Client = &http.Client{Transport: trip(func(r *http.Request) (*http.Response, error) {
				asked++
				rec := httptest.NewRecorder()
				a.ServeHTTP(rec, r)
				return rec.Result(), nil
			})}
		})
		many := 100_000
		if testing.Short() {
			many /= 10
		}
		for n := range many {
			if n%1000 == 0 && outcome(i, "good") != "200" {
				t.Fatal("the good one is refused")
			}
			if got := outcome(i, fmt.Sprint("t", n)); got != "401 not active" {
				t.Fatal(got)
			}
		}
		if asked != many+1 {
			t.Errorf("asked %d times: the good token's answer was pushed out", asked)
		}
		live, dead := i.Kept()
		if live != 1 || dead > 2*8192/8 || dead == 0 {
			t.Errorf("%d live and %d dead are kept", live, dead)
		}
	})
	// Good ones: bounded in number and in bytes.
	for what, change := range map[string]func(*introspect.Options){
		"entries": func(o *introspect.Options) { o.CacheEntries = 10 },
		"bytes":   func(o *introspect.Options) { o.CacheBytes = 10 * 1000 },
	} {
		a := newAbroad(t, change)
		for n := range 100 {
			a.set(fmt.Sprint(n), live)
			if got := outcome(a, fmt.Sprint(n)); got != "200" {
				t.Fatal(got)
			}
		}
		if live, _ := a.Kept(); live == 0 || live > 11 {
			t.Errorf("%s: %d are kept", what, live)
		}
		a.asks(t, 0, "the newest", func() { _ = outcome(a, "99") })
		a.asks(t, 1, "the oldest", func() { _ = outcome(a, "0") })
	}
}

// 64 at once: one question, and whose client goes away does not take the others with it.
func TestIntrospectorFlights(t *testing.T) {
	for _, token := range []string{"good", "bad"} {
		a := newAbroad(t, nil)
		entered, leave := make(chan struct{}, 64), make(chan struct{})
		a.answers(func(http.ResponseWriter, *http.Request) bool {
			entered <- struct{}{}
			<-leave
			return false
		})
		ctx, cancel := context.WithCancel(t.Context())
		ask := func(ctx context.Context) error {
			r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
			bearer(token)(r)
			_, err := a.Authenticate(r)
			return err
		}
		outcomes := make(chan error, 64)
		var all sync.WaitGroup
		start := func(ctx context.Context) {
			all.Add(1)
			go func() {
				defer all.Done()
				outcomes <- ask(ctx)
			}()
		}
		start(ctx) // the one that asks
		<-entered
		gone, leaveEarly := context.WithCancel(t.Context())
		leaveEarly()
		if err := ask(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("who waits goes when its client goes: %v", err)
		}
		for range 63 {
			start(t.Context())
		}
		cancel()
		close(leave)
		all.Wait()
		close(outcomes)
		for err := range outcomes {
			var refused *authn.Error
			if token == "good" && err != nil || token == "bad" && !errors.As(err, &refused) {
				t.Errorf("%s: %v", token, err)
			}
		}
		if n := a.asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times", token, n)
		}
	}
}

// What was asked before a Forget is neither kept nor shared after it.
func TestIntrospectorForgetsFlights(t *testing.T) {
	a := newAbroad(t, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	a.answers(func(w http.ResponseWriter, _ *http.Request) bool {
		a.answers(nil)
		entered <- struct{}{}
		<-leave
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(live)) // as it was when it was asked
		return true
	})
	before := make(chan string)
	go func() { before <- outcome(a, "good") }()
	<-entered
	a.set("good", `{"active":false}`) // revoked
	a.Forget("good")
	if got := outcome(a, "good"); got != "401 not active" {
		t.Errorf("after it was forgotten: %s", got)
	}
	close(leave)
	if got := <-before; got != "200" {
		t.Errorf("who asked before: %s", got)
	}
	if got := outcome(a, "good"); got != "401 not active" {
		t.Errorf("the answer from before was kept: %s", got)
	}
}

// Many tokens, many goroutines, answers that come and go.
func TestIntrospectorRace(t *testing.T) {
	a := newAbroad(t, func(o *introspect.Options) {
		o.CacheEntries, o.CacheTTL = 16, 50*time.Millisecond
		// The limits of strangers are not the subject here, and everybody's pool is 5/8 of MaxQueries.
		o.MaxQueries, o.UnknownRate = 128, 1_000_000
	})
	for n := range 20 {
		a.set(fmt.Sprint("good", n), live)
	}
	var all sync.WaitGroup
	for g := range 64 {
		all.Go(func() {
			for n := range 20 {
				token := fmt.Sprint("good", (g+n)%20)
				if got := outcome(a, token); got != "200" {
					t.Errorf("%s: %s", token, got)
				}
				if got := outcome(a, fmt.Sprint("bad", n%7)); got != "401 not active" {
					t.Error(got)
				}
				if n%10 == 0 {
					a.Forget(token)
					a.pass(10 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

// A transport that panics is a fault, and holds nobody.
func TestIntrospectorPanic(t *testing.T) {
	a := newAbroad(t, func(o *introspect.Options) {
		o.Client = &http.Client{Transport: trip(func(*http.Request) (*http.Response, error) { panic("x") })}
	})
	for range 2 {
		if got := outcome(a, "good"); got != "503" {
			t.Error(got)
		}
	}
}
