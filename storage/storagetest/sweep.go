package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// sweep tests that tables which callers can fill remove their own expired records, even if nobody
// calls Prune.
func sweep(t *testing.T, s *suite) {
	kinds := map[Part]func(k *kit, n int, now time.Time) error{
		AuthRequests: func(k *kit, n int, now time.Time) error {
			return k.s.CreateAuthRequest(k.ctx, storage.AuthRequest{Digest: storage.DigestOf(fmt.Sprint(n)), Purpose: "p", Client: "c", Created: now, Expires: now.Add(time.Minute)})
		},
		DeviceGrants: func(k *kit, n int, now time.Time) error {
			g := deviceGrant("c", n)
			g.Created, g.Expires = now, now.Add(time.Minute)
			return k.s.CreateDeviceGrant(k.ctx, g)
		},
		Replays: func(k *kit, n int, now time.Time) error {
			return k.s.ConsumeJTI(k.ctx, storage.BlockKeyOf("k", "", fmt.Sprint(n)), now, now.Add(time.Minute))
		},
		Attempts: func(k *kit, n int, now time.Time) error {
			_, _, err := k.s.CountAttempt(k.ctx, storage.MAC(storage.DigestOf(fmt.Sprint(n))), now, now.Add(time.Minute))
			return err
		},
		Codes: func(k *kit, n int, now time.Time) error {
			c := code("c", "id-alice", n)
			c.Created, c.Expires, c.Kept = now, now.Add(time.Minute), now.Add(time.Minute)
			return k.s.CreateCode(k.ctx, c)
		},
		AccessTokens: func(k *kit, n int, now time.Time) error {
			a := access("c", "", "", n)
			a.Created, a.Expires = now, now.Add(time.Minute)
			return k.s.CreateAccess(k.ctx, a)
		},
		OneTimeTokens: func(k *kit, n int, now time.Time) error { // a subject has one per purpose
			return k.s.CreateOneTimeToken(k.ctx, storage.OneTimeToken{Digest: storage.DigestOf(fmt.Sprint(n)), Purpose: fmt.Sprint("p", n), Subject: "id-alice", Created: now, Expires: now.Add(time.Minute)})
		},
		Sessions: func(k *kit, n int, now time.Time) error {
			return k.s.CreateSession(k.ctx, storage.Session{
				Digest: storage.DigestOf(fmt.Sprint(n)), ID: fmt.Sprint("s", n), Created: now, LastSeen: now, Expires: now.Add(time.Minute), Ends: now.Add(time.Minute),
			}, storage.Digest{})
		},
	}
	list := map[string]func(*kit){}
	for part, insert := range kinds {
		list["edge_A13/"+string(part)+": inserts delete what has expired, so that callers cannot fill the store"] = func(k *kit) {
			k.needs(part, Clients)
			u := account("alice")
			u.ID = "id-alice"
			k.must(k.s.CreateUser(k.ctx, u))
			k.must(k.s.CreateClient(k.ctx, client("c")))
			const old, fresh = 150, 2 * storage.SweepEvery
			for n := range old {
				k.must(insert(k, n, born))
			}
			k.pruned(born, 1000, 0) // they exist and have not expired
			// These have just expired. They stay, because the clocks of replicas differ.
			later := born.Add(time.Minute + storage.SweepAfter - time.Microsecond)
			for n := range fresh {
				k.must(insert(k, old+n, later))
			}
			k.pruned(later, 1, 1)
			// Now they have been expired for long enough. Inserts that fail or are rolled back have
			// no effect.
			later = later.Add(time.Microsecond)
			for n := range fresh {
				k.must(insert(k, old+fresh+n, later))
				if n%16 == 0 && k.has(Transactor) {
					undone := errors.New("undone")
					k.is(k.s.InTx(k.ctx, func(ctx context.Context) error {
						k := &kit{k.T, ctx, k.s, k.suite}
						k.must(insert(k, 10_000+n, later))
						return undone
					}), undone, "rolled back")
				}
			}
			if n, err := k.s.Prune(k.ctx, later, 1000); n > 22 || err != nil { // of 149: two sweeps remove up to 128 each; one may be rolled back
				k.Errorf("%d expired records are left, %v", n, err)
			}
			k.pruned(later.Add(time.Minute), 1000, 2*fresh) // no other record was removed
		}
	}
	s.rules(t, list)
}
