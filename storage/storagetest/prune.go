package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func prune(t *testing.T, s *suite) {
	now := born.Add(time.Hour)
	s.rules(t, withClients(map[string]func(*kit){
		"nothing: without expired records, or with a limit of 0 or less, nothing is deleted": func(k *kit) {
			for _, limit := range []int{-1, 0, 10} {
				if n, err := k.s.Prune(k.ctx, now, limit); n != 0 || err != nil {
					k.Errorf("up to %d: %d, %v", limit, n, err)
				}
			}
		},
		"credentials: expired credentials are deleted; those that do not expire stay": func(k *kit) {
			k.needs(Credentials)
			u := k.add("alice")
			for n, at := range []time.Time{now.Add(-time.Minute), now, now.Add(time.Microsecond), {}} {
				t := credential(u.ID, 0, n)
				t.Expires = at
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				k.must(err)
			}
			k.pruned(now, 10, 2)
			if left := k.credentialsLeft(u.ID); !slices.Equal(left, []string{"device-0003", "device-0002"}) {
				k.Errorf("left %q: what has not ended, and what never ends", left)
			}
		},
		"blocklist: entries of the blocklist are deleted when their time has come, the earliest first": func(k *kit) {
			k.needs(Blocklist)
			key := func(i int) storage.BlockKey { return storage.BlockKeyOf(storage.BlockJTI, "", fmt.Sprint(i)) }
			for i := range 600 {
				k.must(k.s.Block(k.ctx, now.Add(time.Duration(i-550)*time.Second), key(i)))
			}
			k.pruned(now, 20, 20)
			k.pruned(now, 1000, 531)
			k.pruned(now, 1000, 0)
			for i, want := range map[int]bool{0: false, 550: false, 551: true, 599: true} {
				if k.blocked(key(i)) != want {
					k.Errorf("%d is blocked: %t", i, !want)
				}
			}
		},
		"signing_keys: expired signing keys are deleted; a key whose end is not decided stays": func(k *kit) {
			k.needs(SigningKeys)
			newest := ""
			for i, at := range []time.Time{now, now.Add(time.Second), {}} {
				key := signingKey(fmt.Sprint(i), i)
				key.Expires = at
				k.must(k.s.CreateSigningKey(k.ctx, key, newest))
				newest = key.ID
			}
			k.pruned(now, 10, 1)
			if list, err := k.s.ListSigningKeys(k.ctx, "jwt"); err != nil || len(list) != 2 || list[0].ID != "2" || list[1].ID != "1" {
				k.Errorf("got %v, %v: a key whose end is not decided stays", list, err)
			}
		},
		// Claimed tokens stay until the absolute expiry, so that their reuse is detected. Then all
		// tokens are deleted together.
		"whole_families: a family is deleted at its absolute end, with all of its tokens, and nothing of it before": func(k *kit) {
			k.owns(Families)
			u := k.add("alice")
			for n, at := range []time.Time{now, now.Add(time.Second), now.Add(-time.Hour)} {
				f := family(u.ID, 0, n)
				f.Expires = at
				k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
				for i := range 5 {
					c := claim(f, i)
					c.Window, c.Next.Expires = 0, born.Add(-time.Hour) // expired without being claimed
					k.must(k.s.ClaimRefresh(k.ctx, c))
				}
			}
			k.pruned(now, 1, 1)
			k.pruned(now, 10, 1)
			if left := k.familiesLeft(u.ID); !slices.Equal(left, []string{family(u.ID, 0, 1).ID}) {
				k.Errorf("left %q", left)
			}
			for n := range 3 {
				f := family(u.ID, 0, n)
				for i := range 6 {
					_, err := k.s.RefreshByDigest(k.ctx, refresh(f, i).Digest)
					if n == 1 {
						k.is(err, nil, "nothing of a family ends before it")
						continue
					}
					k.is(err, storage.ErrNotFound, "the tokens go with the family")
					k.unused(u.ID, refresh(f, i), 10*n+i)
				}
				if n == 1 {
					k.is(k.s.EndFamily(k.ctx, f.ID, now), nil, "the family is there")
				} else {
					k.is(k.s.EndFamily(k.ctx, f.ID, now), storage.ErrNotFound, "the family is gone")
				}
			}
		},
		"sealed: what is sealed for a window that has ended is erased; the token stays": func(k *kit) {
			k.owns(Families)
			u := k.add("alice")
			begin := func(n int, window time.Duration) storage.Family {
				f := family(u.ID, k.epoch(u.ID), n)
				f.Expires = born.AddDate(200, 0, 0) // grace periods use the store's clock, which may be the current time
				k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
				c := claim(f, 0)
				c.Window = window
				k.must(k.s.ClaimRefresh(k.ctx, c))
				return f
			}
			f, f2 := begin(1, time.Microsecond), begin(2, time.Hour)
			until := k.refreshed(f, 0).Refresh.SealedUntil
			for i := 0; k.refreshed(f, 0).Now.Before(until); i++ { // waits for a microsecond of the store's clock
				if i == 1_000_000 {
					k.Fatal("the store's clock stands still")
				}
			}
			k.pruned(until.Add(-time.Microsecond), 10, 0)
			k.pruned(until, 10, 1)
			if r := k.refreshed(f, 0).Refresh; r.Sealed != nil || !r.SealedUntil.IsZero() || r.Claimed.IsZero() {
				k.Errorf("got %+v: what was sealed is erased, the token stays", r)
			}
			if r := k.refreshed(f2, 0).Refresh; r.Sealed == nil {
				k.Error("a window that is open was closed")
			}
		},
		"attack_303_fast_clock: what has not ended by the store's clock stays, whatever the caller's clock says": func(k *kit) {
			k.needs(Blocklist)
			end := time.Now().Add(time.Hour)
			key := storage.BlockKeyOf(storage.BlockJTI, "", "logged out")
			k.must(k.s.Block(k.ctx, end, key))
			k.pruned(end.Add(time.Hour), 10, 0)
			if !k.blocked(key) {
				k.Error("a caller whose clock is two hours ahead ended a block")
			}
		},
		"limit_is_for_all_kinds_together: the limit is for all kinds of records together": func(k *kit) {
			k.needs(Blocklist, Credentials)
			k.owns(Families)
			u := k.add("alice")
			for n := range 3 {
				t := credential(u.ID, 0, n)
				t.Expires = born
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				f := family(u.ID, 0, n)
				f.Expires = born
				k.must(errors.Join(err, k.s.CreateFamily(k.ctx, f, refresh(f, 0)), k.s.Block(k.ctx, born, storage.BlockKeyOf(storage.BlockSID, "", f.ID))))
			}
			for _, want := range []int{2, 2, 2, 2, 1, 0} {
				k.pruned(now, 2, want)
			}
		},
		"prune_beside_claims: pruning beside claims deletes whole families and nothing of live ones": func(k *kit) {
			k.owns(Families)
			u := k.add("alice")
			var all []storage.Family
			for n := range 8 {
				f := family(u.ID, 0, n)
				f.Expires = born.Add(time.Duration(n%2) * 24 * 365 * 100 * time.Hour)
				k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
				all = append(all, f)
			}
			for i, err := range race(func(i int) error {
				f := all[i%8]
				if i%16 >= 8 {
					_, err := k.s.Prune(k.ctx, now, 2)
					return err
				}
				for n := range 4 {
					err := k.s.ClaimRefresh(k.ctx, claim(f, n))
					switch {
					case errors.Is(err, storage.ErrConflict): // another call was first
					case errors.Is(err, storage.ErrNotFound) && i%2 == 0:
					case err != nil:
						return err
					}
				}
				return nil
			}) {
				if err != nil {
					k.Errorf("%d: %v", i, err)
				}
			}
			_, err := k.s.Prune(k.ctx, now, 1000)
			k.must(err)
			for n, f := range all {
				for i := range 5 {
					if n%2 == 1 {
						k.refreshed(f, i)
					} else {
						k.unused(u.ID, refresh(f, i), 100+10*n+i)
					}
				}
			}
		},
		"attack_313/attack_492/unused_clients: clients that registered themselves 30 days ago are deleted, the oldest first; those that have anything, or that an administrator knows, stay": func(k *kit) {
			k.owns(Clients)
			k.needs(Codes, Families, Consents, AccessTokens, DeviceGrants, AuthRequests)
			u, at := k.add("alice"), born.Add(-time.Second) // before all records below expire
			add := func(id string, age time.Duration, change func(*storage.Client)) {
				c := client(id)
				c.Registration, c.Created = storage.DigestOf(id), at.Add(-age)
				if change != nil {
					change(&c)
				}
				k.must(k.s.CreateClient(k.ctx, c))
			}
			const old = 30 * 24 * time.Hour
			for i, id := range []string{"newest", "older", "oldest"} {
				add(id, old+time.Duration(i)*time.Hour, nil)
			}
			add("new", old-time.Second, nil)
			add("administrator's", 2*old, func(c *storage.Client) { c.Registration = storage.Digest{} })
			add("trusted", 2*old, func(c *storage.Client) { c.Trusted = true })
			add("barred", 2*old, func(c *storage.Client) { c.Disabled = true }) // attack 492: its ID must not come back
			add("serves", 2*old, func(c *storage.Client) { c.Serves = []string{"https://api.example"} })
			add("for itself", 2*old, func(c *storage.Client) { c.Grants = []string{"authorization_code", "client_credentials"} })
			n := 0
			for what, create := range map[string]func(id string) error{
				"code": func(id string) error { return k.s.CreateCode(k.ctx, code(id, u.ID, n)) },
				"consent": func(id string) error {
					return k.s.PutConsent(k.ctx, storage.Consent{Subject: u.ID, Client: id, Created: born, Expires: born.Add(time.Hour)})
				},
				"token":   func(id string) error { return k.s.CreateAccess(k.ctx, access(id, "", "", n)) },
				"device":  func(id string) error { return k.s.CreateDeviceGrant(k.ctx, deviceGrant(id, n)) },
				"request": func(id string) error { return k.s.CreateAuthRequest(k.ctx, requestOf(id, u.ID, 100+n)) },
				"family": func(id string) error {
					f := family(u.ID, 0, n)
					f.Client = id
					return k.s.CreateFamily(k.ctx, f, refresh(f, 0))
				},
			} {
				n++
				add("with a "+what, 2*old, nil)
				k.must(create("with a " + what))
			}
			k.pruned(at, 2, 2)
			if _, err := k.s.ClientByID(k.ctx, "newest"); err != nil {
				k.Errorf("the newest of three went first: %v", err)
			}
			k.pruned(at, 100, 1)
			k.pruned(at, 100, 0)
			list, err := k.s.ListClients(k.ctx, "", 100)
			k.must(err)
			var left []string
			for _, c := range list {
				left = append(left, c.ID)
			}
			if want := []string{"administrator's", "barred", "client 1", "for itself", "new", "serves", "trusted", "with a code", "with a consent", "with a device", "with a family", "with a request", "with a token"}; !slices.Equal(left, want) {
				k.Errorf("left %q, want %q", left, want)
			}
		},
		"prune_beside_blocks: a key that is blocked longer meanwhile stays blocked": func(k *kit) {
			k.needs(Blocklist)
			key := func(i int) storage.BlockKey { return storage.BlockKeyOf(storage.BlockJTI, "", fmt.Sprint(i%4)) }
			for i := range 4 {
				k.must(k.s.Block(k.ctx, born, key(i)))
			}
			for _, err := range race(func(i int) error {
				if i%8 >= 4 {
					_, err := k.s.Prune(k.ctx, now, 3)
					return err
				}
				return k.s.Block(k.ctx, now.Add(time.Hour), key(i), key(i+1))
			}) {
				k.must(err)
			}
			for i := range 4 {
				if !k.blocked(key(i)) {
					k.Errorf("%d was pruned though it was blocked longer meanwhile", i)
				}
			}
		},
		"prune_beside_prune: concurrent prunings delete each record once and keep to their limits": func(k *kit) {
			k.needs(Blocklist)
			for i := range 100 {
				k.must(k.s.Block(k.ctx, born, storage.BlockKeyOf(storage.BlockJTI, "", fmt.Sprint(i))))
			}
			var removed [together]int
			for i, err := range race(func(i int) (err error) {
				removed[i], err = k.s.Prune(k.ctx, now, 2)
				return err
			}) {
				k.must(err)
				if removed[i] > 2 {
					k.Errorf("%d of 2", removed[i])
				}
			}
			sum := 0
			for _, n := range removed {
				sum += n
			}
			if sum != 100 {
				k.Errorf("%d of 100 were removed, or counted twice, by %d prunings of 2: %v", sum, together, removed)
			}
		},
	}, "client 1"))
}

// pruned calls Prune and checks the returned number.
func (k *kit) pruned(now time.Time, limit, want int) {
	k.Helper()
	if n, err := k.s.Prune(k.ctx, now, limit); n != want || err != nil {
		k.Errorf("pruned %d, %v; want %d", n, err, want)
	}
}

// unused checks that nothing is left of a refresh token: its digest must be free again.
func (k *kit) unused(subject string, r storage.Refresh, n int) {
	k.Helper()
	f := family(subject, k.epoch(subject), 1000+n)
	if err := k.s.CreateFamily(k.ctx, f, r); err != nil {
		k.Errorf("a refresh token was left behind: %v", err)
	}
}
