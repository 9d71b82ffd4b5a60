package cached_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Tokens that nothing happened to need no query, or one for all tokens of an account.
func TestDenySet_attack_107_no_query(t *testing.T) {
	deny(t, denyOptions{stateless: true}, func(d *denying) {
		for range 20 {
			access := d.issue("id").Access
			d.want("the first use of a stateless token", access, 200, 0)
			d.want("the second", access, 200, 0)
		}
	})
	deny(t, denyOptions{}, func(d *denying) {
		d.want("the first token of an account", d.issue("id").Access, 200, 1)
		for range 20 {
			d.want("another one", d.issue("id").Access, 200, 0)
		}
		must(d.T, d.jwts.Revoke(d.Context(), d.issue("other").Refresh))
		d.want("after a logout of somebody else", d.issue("id").Access, 200, 0)
	})
}

// Without proof, and before the set has been read, the store is queried.
func TestDenySet_attack_463_without_proof(t *testing.T) {
	deny(t, denyOptions{stateless: true}, func(d *denying) {
		access := d.issue("id").Access
		d.want("under the lease", access, 200, 0)
		time.Sleep(bus.Lease)
		d.want("after it", access, 200, 1)
		d.proved()
		d.want("under the next", access, 200, 0)
		d.wire.cut()
		d.want("without a connection", access, 200, 1)
		d.later(time.Second)
		d.wire.do(func(f bus.Follower) error { f.AccountsTold(false); return nil })
		d.want("roles of an account table without triggers", access, 200, 1)
		d.proved()
		d.s.Bypass(true)
		d.want("in bypass", access, 200, 1)
		d.s.Bypass(false)
		synctest.Wait()
		d.want("afterwards", access, 200, 0)
		tok := d.token("")
		must(d.T, d.s.InTx(d.Context(), func(ctx context.Context) error {
			if d.s.TokenUnchanged(ctx, &tok.IssuedToken) {
				t.Error("used in a transaction")
			}
			return nil
		}))
	})
}

// A change that is made and told while the set is being read is not lost, nor one that is made before a
// gap while it is being read.
func TestDenySet_attack_464_reading(t *testing.T) {
	for name, meanwhile := range map[string]func(d *denying, c cached.Change){
		"told": func(d *denying, c cached.Change) { d.tell(c) },
		"gap":  func(d *denying, _ cached.Change) { d.wire.do(func(f bus.Follower) error { f.FlushAll(); return nil }) },
		"reconnected": func(d *denying, _ cached.Change) {
			d.wire.cut()
			time.Sleep(time.Second)
			d.wire.do(func(f bus.Follower) error { return f.Prove(func() error { return nil }) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			deny(t, denyOptions{}, func(d *denying) {
				tok := d.token("")
				hold := func() { // the store was read, and the result has not arrived
					_, err := d.base.BumpEpoch(context.Background(), "id")
					must(d.T, err)
					meanwhile(d, cached.Change{Subject: "id"})
				}
				d.base.held.Store(&hold)
				d.wire.do(func(f bus.Follower) error { f.FlushAll(); return nil })
				d.later(time.Second)
				if d.base.held.Load() != nil {
					t.Fatal("the set was not read")
				}
				d.later(time.Minute)
				if !d.s.DenySet().Used || d.s.TokenUnchanged(d.Context(), &tok.IssuedToken) {
					t.Errorf("lost: %+v", d.s.DenySet())
				}
				d.refused("lost", tok.access)
			})
		})
	}
}

// The operator lowers the lifetime after a revocation and restarts: what was issued before stays
// revoked until it has expired, and what was not revoked stays valid.
func TestDenySet_attack_465_lowered_lifetime(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		t.Run(fmt.Sprint(stateless), func(t *testing.T) {
			long := denyOptions{set: cached.DenySet{Lifetime: 30 * time.Minute}, ttl: 30 * time.Minute, stateless: stateless}
			deny(t, long, func(d *denying) {
				gone, good, out := d.issue("id"), d.issue("other"), d.issue("id")
				d.stop()
				short := replicaOf(d.T, d.base, denyOptions{stateless: stateless})
				defer short.stop()
				short.proved()
				must(d.T, short.jwts.Revoke(d.Context(), gone.Refresh)) // by a process that issues for 5 minutes
				for minute := range 29 {
					short.later(time.Minute)
					_, err := d.base.Prune(d.Context(), time.Now(), 1000)
					must(d.T, err)
					short.refused(fmt.Sprint("after minutes: ", minute), gone.Access)
					for name, p := range map[string]jwt.Pair{"good": good, "out": out} {
						if resp, _ := short.use(p.Access); resp.StatusCode != 200 {
							t.Fatalf("%s after %d minutes: %d; %+v", name, minute, resp.StatusCode, short.s.DenySet())
						}
					}
					if minute == 15 {
						again := replicaOf(d.T, d.base, denyOptions{stateless: stateless})
						again.proved()
						again.refused("after another restart", gone.Access)
						again.stop()
					}
				}
				if got := short.s.DenySet().Longest; got != 30*time.Minute {
					t.Errorf("the window is %v", got)
				}
				short.later(12 * time.Minute)
				if got := short.s.DenySet(); got.Longest != 5*time.Minute || !got.Used {
					t.Errorf("after all have expired: %+v", got)
				}
			})
		})
	}
}

// A process without the set signs for longer with the same keys.
func TestDenySet_attack_466_longer_than_known(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		deny(t, denyOptions{stateless: stateless}, func(d *denying) {
			sister, err := jwt.New("https://auth.example", "https://api.example", signing(t, "k"), d.base.Store, &jwt.Options{AccessTTL: 5*time.Minute + time.Second})
			must(d.T, err)
			p, err := sister.Issue(d.Context(), "id", 0, nil)
			must(d.T, err)
			d.want("a token of a sister", p.Access, 401, 0)
			ok, err := jwt.New("https://auth.example", "https://api.example", signing(t, "k"), d.base.Store, nil)
			must(d.T, err)
			p, err = ok.Issue(d.Context(), "id", 0, nil)
			must(d.T, err)
			if resp, _ := d.use(p.Access); resp.StatusCode != 200 {
				t.Errorf("of the same lifetime: %d", resp.StatusCode)
			}
			if _, err := jwt.New("https://auth.example", "https://api.example", signing(t, "k"), d.s, &jwt.Options{AccessTTL: 6 * time.Minute}); err == nil || !strings.Contains(err.Error(), "DenySet.Lifetime") {
				t.Errorf("a scheme that issues for longer: %v", err)
			}
			// Once the sister records it, its tokens are accepted.
			_, err = d.base.RecordTokenLifetime(d.Context(), 10*time.Minute)
			must(d.T, err)
			p, err = sister.Issue(d.Context(), "id", 0, nil)
			must(d.T, err)
			d.later(15 * time.Second)
			if resp, _ := d.use(p.Access); resp.StatusCode != 200 {
				t.Errorf("after it was recorded: %d; %+v", resp.StatusCode, d.s.DenySet())
			}
		})
	}
}

// A replica whose clock differs from the database's does not use the set.
func TestDenySet_attack_467_clock(t *testing.T) {
	deny(t, denyOptions{stateless: true}, func(d *denying) {
		for _, by := range []time.Duration{6 * time.Second, -6 * time.Second, time.Hour} {
			access := d.issue("id").Access
			d.base.skew.Store(int64(by))
			d.later(11 * time.Second)
			d.want(fmt.Sprint("a clock that differs by ", by), access, 200, 1)
			if got := d.s.DenySet(); got.Used || !strings.Contains(got.Why, "clock") {
				t.Errorf("%+v", got)
			}
			d.base.skew.Store(int64(4 * time.Second))
			d.later(11 * time.Second)
			d.want("one that differs little", access, 200, 0)
		}
	})
}

// A set that is full is not used, and nothing is accepted for it.
func TestDenySet_attack_468_full(t *testing.T) {
	deny(t, denyOptions{stateless: true, set: cached.DenySet{Max: 3}}, func(d *denying) {
		good := d.issue("other")
		var gone []jwt.Pair
		for range 5 {
			gone = append(gone, d.issue("id"))
		}
		for _, p := range gone {
			must(d.T, d.jwts.Revoke(d.Context(), p.Refresh))
			d.refused("just revoked", p.Access)
		}
		d.want("while it is full", good.Access, 200, 1)
		for range 3 {
			d.later(time.Minute + time.Second)
			for _, p := range gone {
				d.refused("later", p.Access)
			}
		}
		if got := d.s.DenySet(); got.Used || got.Entries > 3 || !strings.Contains(got.Why, "Max") {
			t.Errorf("%+v", got)
		}
		d.later(20 * time.Minute) // the entries of the blocklist are pruned
		_, err := d.base.Prune(d.Context(), time.Now(), 1000)
		must(d.T, err)
		d.later(2 * time.Minute)
		d.want("when there is space again", d.issue("other").Access, 200, 0)
	})
}

// Two issuers over one store, and an account of another space: what is blocked for one is not for the
// other, and a subject of another space is never unchanged.
func TestDenySet_attack_469_issuers_and_spaces(t *testing.T) {
	deny(t, denyOptions{stateless: true}, func(d *denying) {
		other := replicaOf(d.T, d.base, denyOptions{stateless: true, issuer: "https://other.example"})
		defer other.stop()
		other.proved()
		a, b := d.issue("id"), other.issue("id")
		d.want("a token of the other issuer", b.Access, 401, 0)
		other.want("likewise", a.Access, 401, 0)
		id, _ := idsOf(t, a.Access)
		must(d.T, other.s.Block(d.Context(), time.Now().Add(time.Minute), storage.BlockKeyOf(storage.BlockJTI, "https://other.example", id)))
		d.proved()
		d.want("blocked for the other issuer only", a.Access, 200, 0)
		_, err := other.s.BumpEpoch(d.Context(), "id")
		must(d.T, err)
		d.tell(cached.Change{Subject: "id"})
		d.refused("logged out everywhere", a.Access)
		other.refused("logged out everywhere", b.Access)
	})
	synctest.Test(t, func(t *testing.T) {
		base := &counting{Store: memory.New(&memory.Options{Space: "staff"})}
		d := replicaOf(t, base, denyOptions{})
		defer d.stop()
		d.proved()
		for subject, want := range map[string]bool{"staff:1": true, "1": false, "shop:1": false, "staff:": false} {
			if got := d.s.TokenUnchanged(d.Context(), &storage.IssuedToken{Subject: subject, Lifetime: time.Minute}); got != want {
				t.Errorf("subject %q: %v", subject, got)
			}
		}
	})
}

// Reuse of a refresh token ends the family, also of tokens that were never used.
func TestDenySet_attack_470_reuse(t *testing.T) {
	deny(t, denyOptions{}, func(d *denying) {
		first := d.issue("id")
		second, _, err := d.jwts.Refresh(d.Context(), first.Refresh)
		must(d.T, err)
		d.later(time.Minute)
		third, _, err := d.jwts.Refresh(d.Context(), second.Refresh)
		must(d.T, err)
		if _, _, err := d.jwts.Refresh(d.Context(), first.Refresh); err == nil {
			t.Fatal("reuse was accepted")
		}
		for _, p := range []jwt.Pair{first, second, third} {
			d.refused("after the reuse", p.Access)
		}
	})
}

// Without a courier the set is read again, three times in each TTL, and only Run starts that.
func TestDenySet_attack_471_without_courier(t *testing.T) {
	deny(t, denyOptions{stateless: true, alone: true}, func(d *denying) {
		access := d.issue("id").Access
		d.want("without a courier", access, 200, 0)
		_, err := d.base.BumpEpoch(d.Context(), "id") // by another process
		must(d.T, err)
		d.later(11 * time.Second)
		d.refused("after another process revoked it", access)
		d.stop()
		good := d.issue("other").Access
		d.later(31 * time.Second)
		d.want("when Run has ended", good, 200, 1)
	})
	s, err := cached.New(memory.New(nil), &cached.Options{DenySet: &cached.DenySet{}, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	if got := s.DenySet(); got.Used || got.Why == "" {
		t.Errorf("before Run: %+v", got)
	}
	for _, o := range []cached.DenySet{{Lifetime: time.Millisecond}, {Lifetime: 25 * time.Hour}, {Max: -1}, {ClockOffset: -1}, {ClockOffset: time.Hour}} {
		if _, err := cached.New(memory.New(nil), &cached.Options{DenySet: &o}); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if _, err := cached.NewParts(&cached.Options{DenySet: &cached.DenySet{}}, memory.New(nil)); err == nil {
		t.Error("over parts")
	}
}

// The application blocks an account for a day, so that tokens issued later are rejected too.
func TestDenySet_attack_479_blocked_for_longer(t *testing.T) {
	for _, alone := range []bool{false, true} {
		deny(t, denyOptions{stateless: true, alone: alone}, func(d *denying) {
			key := storage.BlockKeyOf(storage.BlockSubject, "https://auth.example", "id")
			must(d.T, d.s.Block(d.Context(), time.Now().Add(24*time.Hour), key))
			for range 40 {
				d.later(7 * time.Minute)
				d.refused("blocked", d.issue("id").Access)
			}
			d.later(24 * time.Hour)
			_, err := d.base.Prune(d.Context(), time.Now(), 1000)
			must(d.T, err)
			d.later(time.Hour)
			d.want("later", d.issue("id").Access, 200, 0)
		})
	}
}
