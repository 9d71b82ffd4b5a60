package cached_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// 20,000 well-formed junk tokens a second, of which each is another one, do not decide over
// the good tokens of other networks that are not kept.
func TestFloodIsFair_attack_262(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	v4 := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 9}) }
	v6 := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i), 7, 8, 9, 10: byte(i)})
	}
	for name, from := range map[string]func(i int) netip.Addr{
		"one address":         func(int) netip.Addr { return v4(0) },
		"three networks":      func(i int) netip.Addr { return v4(i % 3) },
		"fifty networks":      func(i int) netip.Addr { return v4(i % 50) },
		"a thousand networks": func(i int) netip.Addr { return v4(i % 1000) },
		"a thousand IPv6 /48": func(i int) netip.Addr { return v6(i % 1000) },
		"one IPv6 /48, many /64s": func(i int) netip.Addr {
			a := v6(7).As16()
			a[6], a[7] = byte(i>>8), byte(i)
			return netip.AddrFrom16(a)
		},
	} {
		t.Run("edge_A17/"+name, func(t *testing.T) {
			w := newWorld(t, memory.New(nil), nil)
			const owners = 50
			for i := range owners {
				id := fmt.Sprint("owner", i)
				must(t, w.s.CreateUser(w.ctx, storage.User{ID: id, Name: id, Active: true, Created: now}))
				must(t, w.s.PutStaticToken(w.ctx, storage.StaticToken{Digest: storage.DigestOf(id), Subject: id, Salt: []byte("salt"), KeyID: "k", Created: now}, storage.Digest{}))
			}
			junk, reached := 0, 0
			for range 5 { // seconds
				w.s.FlushAll() // the good ones are not kept
				for i := range 20_000 {
					ctx := storage.WithClientAddr(w.ctx, from(junk))
					before := w.base.lookups.Load()
					_, _, err := w.s.StaticTokenByDigest(ctx, storage.DigestOf(fmt.Sprint("junk", junk)))
					if !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, cached.ErrTooManyUnknown) {
						t.Fatal(err)
					}
					junk++
					reached += int(w.base.lookups.Load() - before)
					if i%400 == 399 {
						n := i / 400
						home := netip.AddrFrom4([4]byte{203, 0, byte(n), 1})
						if _, _, err := w.s.StaticTokenByDigest(storage.WithClientAddr(w.ctx, home), storage.DigestOf(fmt.Sprint("owner", n))); err != nil {
							t.Fatalf("owner %d: %v after %d junk tokens in a second", n, err, i+1)
						}
					}
					w.clock.forward(time.Second / 20_000)
				}
			}
			if most := 5 * 15_100; reached > most {
				t.Errorf("%d lookups of junk reached the store, want at most %d", reached, most)
			}
		})
	}
}

// Junk from ever new networks, more than anybody can tell apart, is bounded, and good tokens
// from networks that sent good ones before are served all the same.
func TestFloodOfNetworks(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	t.Run("edge_A17/100,000 networks", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		w.add("alice")
		must(t, w.s.PutStaticToken(w.ctx, storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "alice", Salt: []byte("salt"), KeyID: "k", Created: now}, storage.Digest{}))
		home := storage.WithClientAddr(w.ctx, netip.MustParseAddr("203.0.113.5"))
		_, _, err := w.s.StaticTokenByDigest(home, storage.DigestOf("x"))
		must(t, err)
		w.s.FlushAll()
		before := w.base.lookups.Load()
		for i := range 100_000 {
			a := netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 9})
			_, _, _ = w.s.StaticTokenByDigest(storage.WithClientAddr(w.ctx, a), storage.DigestOf(fmt.Sprint("junk", i)))
		}
		if n := w.base.lookups.Load() - before; n > 15_100 {
			t.Errorf("%d lookups reached the store in a second", n)
		}
		if _, _, err := w.s.StaticTokenByDigest(home, storage.DigestOf("x")); err != nil {
			t.Error(err)
		}
		if _, _, err := w.s.StaticTokenByDigest(w.ctx, storage.DigestOf("y")); !errors.Is(err, cached.ErrTooManyUnknown) {
			t.Errorf("without an address: %v", err)
		}
		w.clock.forward(time.Second)
		if _, _, err := w.s.StaticTokenByDigest(w.ctx, storage.DigestOf("y")); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a second later: %v", err)
		}
	})
}

// The middleware gives stores the client's address: that of the connection, or behind a
// named proxy the one that it says.
func TestClientAddrReachesTheStore(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8")
	must(t, err)
	var seen netip.Addr
	scheme := authn.Func(func(r *http.Request) (authn.Identity, error) {
		seen = storage.ClientAddr(context.WithoutCancel(r.Context()))
		return authn.Identity{}, authn.ErrNoCredentials
	})
	for _, c := range []struct {
		opts             *authn.Options
		peer, said, want string
	}{
		{nil, "192.0.2.1:1234", "203.0.113.9", "192.0.2.1"},
		{&authn.Options{Proxies: proxies}, "10.1.2.3:1234", "203.0.113.9", "203.0.113.9"},
		{&authn.Options{Proxies: proxies}, "192.0.2.1:1234", "203.0.113.9", "192.0.2.1"},
		{nil, "[2001:db8::1]:1", "", "2001:db8::1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-For", c.said)
		var after netip.Addr
		inner := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { after = storage.ClientAddr(r.Context()) })
		authn.New(authn.Chain{scheme}, c.opts).Handler(inner).ServeHTTP(httptest.NewRecorder(), r)
		if seen.String() != c.want || after != seen {
			t.Errorf("edge_A17: %v: %v, later %v, want %s", c.peer, seen, after, c.want)
		}
		// An inner middleware that names no proxies keeps what the outer one found.
		authn.New(authn.Chain{}, c.opts).Handler(authn.New(authn.Chain{scheme}, nil).Handler(inner)).ServeHTTP(httptest.NewRecorder(), r)
		if seen.String() != c.want {
			t.Errorf("edge_A17: nested: %v, want %s", seen, c.want)
		}
	}
	if a := storage.ClientAddr(t.Context()); a.IsValid() {
		t.Error(a)
	}
}
