package password_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// While the queue is never empty, waiters that leave or were served leave no names behind, and so
// no work for later waiters.
func TestQueueForgets(t *testing.T) {
	t.Run("attack_289", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const maxWaiting = 16
			h, release := full(t, time.Hour, maxWaiting)
			wait := func(ctx context.Context, name string) {
				go func() {
					if release, err := h.HoldAs(ctx, false, "account "+name, "network "+name); err == nil {
						release()
					}
				}()
				synctest.Wait()
			}
			wait(t.Context(), "stays")
			for i := range 500 {
				ctx, leave := context.WithCancel(t.Context())
				wait(ctx, fmt.Sprint("goes", i))
				leave()
				synctest.Wait()
			}
			if n := h.Names(); n != 2 {
				t.Errorf("%d names of one waiter", n)
			}
			for i := range 500 { // each is served while the next one waits
				wait(t.Context(), fmt.Sprint("served", i))
				old := release
				got := make(chan func())
				go func() {
					release, err := h.HoldAs(t.Context(), false, fmt.Sprint("then", i), fmt.Sprint("then", i))
					must(t, err)
					got <- release
				}()
				synctest.Wait()
				old()
				release = <-got
				wait(t.Context(), fmt.Sprint("stays", i))
			}
			if n := h.Names(); n > 6*maxWaiting {
				t.Errorf("%d names with %d places", n, maxWaiting)
			}
			release()
			synctest.Wait()
		})
	})
}

// A network whose requests leave while they wait is not placed further back than its number of
// waiters.
func TestQueueAfterThoseWhoLeft(t *testing.T) {
	t.Run("attack_289_numbers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, release := full(t, time.Hour, 16)
			l := &line{t: t, h: h}
			l.wait("first", false, "a", "popular")
			for i := range 100 {
				ctx, leave := context.WithCancel(t.Context())
				go func() { _, _ = h.HoldAs(ctx, false, fmt.Sprint(i), "popular") }()
				synctest.Wait()
				leave()
				synctest.Wait()
			}
			l.wait("second", false, "b", "popular")
			for i := range 3 {
				l.wait(fmt.Sprint("other", i), false, "c", "quiet")
			}
			release()
			synctest.Wait()
			if n := l.at("second"); n < 0 || n > 2 {
				t.Errorf("served as number %d of %v", n, l.got)
			}
		})
	})
}

// One network that registers, or hashes in any other way, does not take the places of others.
func TestNewcomersByNetwork(t *testing.T) {
	for name, call := range map[string]func(c *password.Checker, h *password.Hasher, addr netip.Addr, n int) error{
		"register": func(c *password.Checker, _ *password.Hasher, addr netip.Addr, n int) error {
			_, err := c.Register(storage.WithClientAddr(context.Background(), addr), password.NewUser{Name: fmt.Sprint("user", n), Password: secret})
			return err
		},
		"new hash": func(c *password.Checker, _ *password.Hasher, addr netip.Addr, n int) error {
			_, err := c.NewHash(storage.WithClientAddr(context.Background(), addr), storage.User{Name: fmt.Sprint("user", n)}, secret)
			return err
		},
		"hash": func(_ *password.Checker, h *password.Hasher, addr netip.Addr, _ int) error {
			_, err := h.Hash(context.Background(), authn.NetworkOf(addr), secret)
			return err
		},
		"verify": func(_ *password.Checker, h *password.Hasher, addr netip.Addr, _ int) error {
			_, _, err := h.Verify(context.Background(), authn.NetworkOf(addr), "", secret)
			return err
		},
	} {
		t.Run("attack_290_"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, release := full(t, time.Hour, 32)
				c, err := password.New(memory.New(nil), h, nil)
				must(t, err)
				var mu sync.Mutex
				in := map[bool]int{}
				for n := range 60 {
					own := n >= 40
					addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(n)}) // 40 /64s of one /48
					if own {
						addr = netip.AddrFrom4([4]byte{198, 51, byte(n), 1})
					}
					go func() {
						if call(c, h, addr, n) == nil {
							mu.Lock()
							defer mu.Unlock()
							in[own]++
						}
					}()
					synctest.Wait()
				}
				release()
				synctest.Wait()
				if in[true] != 20 || in[false] < 1 || in[false] > 8 {
					t.Errorf("%d of 20 of other networks, %d of one network, which has 8 places", in[true], in[false])
				}
			})
		})
	}
}

// A wide network that registers from a new /48 each time waits behind its own requests, and its
// other customers are not delayed much.
func TestNewcomersByWideNetwork(t *testing.T) {
	t.Run("attack_290_wide", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, release := full(t, time.Hour, 256)
			l := &line{t: t, h: h}
			for i := range 256 {
				l.wait(fmt.Sprint("bot", i), false, "", fmt.Sprintf("2001:db8:%x::/48", i))
			}
			for i := range 8 {
				l.wait(fmt.Sprint("owner", i), false, "", fmt.Sprintf("198.%d.1.0/24", i))
			}
			release()
			synctest.Wait()
			for i := range 8 {
				if n := l.at(fmt.Sprint("owner", i)); n < 0 || n > 16 {
					t.Errorf("owner %d was served as number %d, turned away: %v", i, n, l.away)
				}
			}
		})
		synctest.Test(t, func(t *testing.T) {
			h, release := full(t, time.Hour, 256)
			l := &line{t: t, h: h}
			for i := range 64 {
				l.wait(fmt.Sprint("bot", i), false, "", "2001:db8:1::/48")
			}
			l.wait("neighbor", false, "", "2001:db8:2::/48")
			release()
			synctest.Wait()
			if n := l.at("neighbor"); n < 0 || n > 10 {
				t.Errorf("a neighbor of one /48 was served as number %d", n)
			}
		})
	})
}
