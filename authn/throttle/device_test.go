package throttle_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

func TestDeviceCookie(t *testing.T) {
	ten := []throttle.Rate{{10, time.Minute}}
	c := newClock()
	n := 0
	anywhere := func(cookies ...*http.Cookie) *http.Request {
		n++
		return from(fmt.Sprintf("203.0.%d.%d:1", n/250, n%250), cookies...)
	}
	l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: &throttle.LoginLimits{Account: ten, KnownAccount: ten}, DeviceKey: key32, Clock: c.now})
	a, err := l.Reserve(anywhere(), "alice")
	must(t, err)
	if len(a.Succeeded(t.Context())) != 0 {
		t.Error("a cookie for an account that nobody named")
	}
	a = reserve(t, l, anywhere(), "alice")
	cookies := a.Succeeded(t.Context())
	if len(cookies) != 1 {
		t.Fatalf("%d cookies", len(cookies))
	}
	cookie := cookies[0]
	if cookie.Name != "__Host-device" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("%+v", cookie)
	}
	with := func(c *http.Cookie) func() *http.Request { return func() *http.Request { return anywhere(c) } }
	t.Run("attack_198_strangers_lock_nobody_out", func(t *testing.T) {
		if got := tries(t, l, "alice", func() *http.Request { return anywhere() }); got != 10 {
			t.Fatalf("strangers had %d attempts", got)
		}
		if got := tries(t, l, "alice", with(cookie)); got != 10 {
			t.Errorf("the owner's device had %d attempts", got)
		}
	})
	t.Run("ignored", func(t *testing.T) {
		c.add(time.Hour)
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		must(t, err)
		tries(t, l, "bob", func() *http.Request { return anywhere() })
		tries(t, l, "alice", func() *http.Request { return anywhere() })
		for i := range raw {
			b := append([]byte(nil), raw...)
			b[i] ^= 1
			if _, err := l.Reserve(anywhere(&http.Cookie{Name: cookie.Name, Value: base64.RawURLEncoding.EncodeToString(b)}), "alice"); err == nil {
				t.Errorf("byte %d changed and still taken", i)
			}
		}
		for name, r := range map[string]*http.Request{
			"another account": nil, "two": anywhere(cookie, cookie), "empty": anywhere(&http.Cookie{Name: cookie.Name}), "the other name": anywhere(&http.Cookie{Name: "device", Value: cookie.Value}), "cut": anywhere(&http.Cookie{Name: cookie.Name, Value: cookie.Value[:20]}),
		} {
			account := "alice"
			if r == nil {
				r, account = anywhere(cookie), "bob"
			}
			if _, err := l.Reserve(r, account); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
	})
	t.Run("renewed_and_expired", func(t *testing.T) {
		a := reserve(t, l, anywhere(cookie), "alice")
		if len(a.Succeeded(t.Context())) != 0 {
			t.Error("a young cookie is renewed")
		}
		c.add(100 * 24 * time.Hour)
		a = reserve(t, l, anywhere(cookie), "alice")
		if len(a.Succeeded(t.Context())) != 1 {
			t.Error("an old cookie is not renewed")
		}
		c.add(80 * 24 * time.Hour)
		tries(t, l, "alice", func() *http.Request { return anywhere() })
		if _, err := l.Reserve(anywhere(cookie), "alice"); err == nil {
			t.Error("an expired cookie is taken")
		}
	})
	plain := login(t, throttle.NewMemory(nil), throttle.LoginOptions{DeviceKey: key32, PlainHTTP: true, Clock: c.now})
	a = reserve(t, plain, anywhere(), "alice")
	if got := a.Succeeded(t.Context()); len(got) != 1 || got[0].Name != "device" || got[0].Secure {
		t.Errorf("%v", got)
	}
	for _, o := range []throttle.LoginOptions{{DeviceKey: key32[:16]}, {NameKey: key32[:5]}, {Limits: &throttle.LoginLimits{Account: []throttle.Rate{{}}}}, {Limits: &throttle.LoginLimits{KnownNet: []throttle.Rate{{-1, time.Minute}}}}, {Limits: &throttle.LoginLimits{Free: []throttle.Rate{{5, 0}}}}, {Limits: &throttle.LoginLimits{Free: []throttle.Rate{{5, 1}, {5, 1}}}}} {
		if _, err := throttle.NewLogin(throttle.NewMemory(nil), &o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := throttle.NewLogin(nil, nil); err == nil {
		t.Error("no store was taken")
	}
}

// A cookie with any content makes no caller known that the store does not know, and causes no
// panic.
func FuzzDeviceCookie(f *testing.F) {
	c := newClock()
	l := login(f, throttle.NewMemory(nil), throttle.LoginOptions{DeviceKey: key32, NameKey: key32, Clock: c.now})
	other := login(f, throttle.NewMemory(nil), throttle.LoginOptions{DeviceKey: key32, NameKey: key32, Clock: c.now})
	good := reserve(f, other, from("192.0.2.1:1"), "alice").Succeeded(f.Context())[0].Value
	for _, s := range []string{"", "x", good, good[:40], good + "A", "====", strings.Repeat("A", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := from("203.0.113.1:1")
		r.Header["Cookie"] = []string{"__Host-device=" + value}
		a, err := l.Reserve(r, "alice")
		if err != nil {
			t.Skip() // no units left
		}
		defer a.Cancelled(t.Context())
		if must(t, a.(authn.AccountAttempt).Account(t.Context(), "id of alice", 0)); a.(authn.AccountAttempt).Known() {
			t.Errorf("known by %q", value)
		}
	})
}
