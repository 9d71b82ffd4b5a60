package storagetest

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func claims(t *testing.T, s *suite) {
	s.rules(t, withClients(map[string]func(*kit){
		"claim: a claim records the store's time, keeps the sealed answer for the window, and inserts the successor": func(k *kit) {
			f, first := k.begin(k.add("alice").ID, 1)
			before := k.refreshed(f, 0).Now
			k.must(k.s.ClaimRefresh(k.ctx, claim(f, 0)))
			st := k.refreshed(f, 0)
			if at := st.Refresh.Claimed; at.Before(before) || at.After(st.Now) || at.Location() != time.UTC {
				k.Errorf("claimed at %v, between %v and %v: by the store's clock", at, before, st.Now)
			}
			if !bytes.Equal(st.Refresh.Sealed, claim(f, 0).Sealed) || !st.Refresh.SealedUntil.Equal(st.Refresh.Claimed.Add(30*time.Second)) || st.SuccessorClaimed {
				k.Errorf("got %+v", st)
			}
			if !st.Refresh.Created.Equal(first.Created) || !st.Refresh.Expires.Equal(first.Expires) || st.Refresh.Family != f.ID || !reflect.DeepEqual(st.Family, f) {
				k.Errorf("a claim changed something else: %+v", st)
			}
			if next := k.refreshed(f, 1); !reflect.DeepEqual(next.Refresh, refresh(f, 1)) || next.SuccessorClaimed {
				k.Errorf("the successor is %+v", next)
			}
		},
		// Each exchange leaves a record, so their number is limited by the family's age.
		"attack_273_too_many: a family has ExchangeBurst exchanges and one more each ExchangeEvery; a claim above that gets ErrLimit and changes nothing": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			at := func(n int, age time.Duration) error {
				c := claim(f, n)
				c.Next.Created, c.Window = f.Created.Add(age), 0
				return k.s.ClaimRefresh(k.ctx, c)
			}
			for n := range storage.ExchangeBurst {
				k.must(at(n, 0))
			}
			before := k.refreshed(f, storage.ExchangeBurst)
			for _, age := range []time.Duration{0, -time.Hour, storage.ExchangeEvery - time.Microsecond} {
				k.is(at(storage.ExchangeBurst, age), storage.ErrLimit, "there were too many exchanges at that age")
			}
			after := k.refreshed(f, storage.ExchangeBurst)
			if after.Now = before.Now; !reflect.DeepEqual(after, before) {
				k.Errorf("a refused claim changed %+v to %+v", before, after)
			}
			_, err := k.s.RefreshByDigest(k.ctx, refresh(f, storage.ExchangeBurst+1).Digest)
			k.is(err, storage.ErrNotFound, "a refused claim inserts nothing")
			k.must(at(storage.ExchangeBurst, storage.ExchangeEvery))
			k.is(at(storage.ExchangeBurst+1, storage.ExchangeEvery), storage.ErrLimit, "one more each ExchangeEvery")
			k.is(at(0, storage.ExchangeEvery), storage.ErrConflict, "reuse is noticed whatever the limit")
		},
		"claimed_twice: a second claim gets ErrConflict and changes nothing": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			k.must(k.s.ClaimRefresh(k.ctx, claim(f, 0)))
			before := k.refreshed(f, 0)
			again := claim(f, 0)
			again.Next, again.Sealed = refresh(f, 7), []byte("other")
			k.is(k.s.ClaimRefresh(k.ctx, again), storage.ErrConflict, "somebody else claimed it")
			after := k.refreshed(f, 0)
			if after.Now = before.Now; !reflect.DeepEqual(after, before) {
				k.Errorf("a refused claim changed %+v to %+v", before, after)
			}
			_, err := k.s.RefreshByDigest(k.ctx, refresh(f, 7).Digest)
			k.is(err, storage.ErrNotFound, "a refused claim inserts nothing")
		},
		"successor_is_taken: a claim whose successor's digest is taken gets ErrConflict and changes nothing": func(k *kit) {
			u := k.add("alice")
			f, _ := k.begin(u.ID, 1)
			other, _ := k.begin(u.ID, 2)
			for what, taken := range map[string]storage.Digest{"another's": refresh(other, 0).Digest, "its own": refresh(f, 0).Digest} {
				c := claim(f, 0)
				c.Next.Digest = taken
				k.is(k.s.ClaimRefresh(k.ctx, c), storage.ErrConflict, what)
			}
			if st := k.refreshed(f, 0); !st.Refresh.Claimed.IsZero() || st.Refresh.Sealed != nil {
				k.Errorf("a refused claim changed %+v", st.Refresh)
			}
			if st := k.refreshed(other, 0); st.Family.ID != other.ID {
				k.Error("another family's token moved")
			}
			k.must(k.s.ClaimRefresh(k.ctx, claim(f, 0)))
		},
		"nothing_to_keep: without a window or an answer nothing is sealed": func(k *kit) {
			u := k.add("alice")
			for i, change := range []func(*storage.RefreshClaim){
				func(c *storage.RefreshClaim) { c.Window = 0 }, func(c *storage.RefreshClaim) { c.Window = -time.Second },
				func(c *storage.RefreshClaim) { c.Sealed = nil }, func(c *storage.RefreshClaim) { c.Sealed = []byte{} },
			} {
				f, _ := k.begin(u.ID, i)
				c := claim(f, 0)
				change(&c)
				k.must(k.s.ClaimRefresh(k.ctx, c))
				if r := k.refreshed(f, 0).Refresh; len(r.Sealed) != 0 || !r.SealedUntil.IsZero() || r.Claimed.IsZero() {
					k.Errorf("%d: got %+v", i, r)
				}
			}
		},
		"narrow: CloseGraceWindow marks the last claimed token of that family only, and only if it was claimed by then": func(k *kit) {
			u := k.add("alice")
			f, _ := k.begin(u.ID, 1)
			other, _ := k.begin(u.ID, 2)
			k.must(k.s.CloseGraceWindow(k.ctx, f.ID, born.Add(100*365*24*time.Hour)))
			for _, g := range []storage.Family{f, other} {
				k.must(k.s.ClaimRefresh(k.ctx, claim(g, 0)))
			}
			claimed := k.refreshed(f, 0).Refresh.Claimed
			k.must(k.s.CloseGraceWindow(k.ctx, f.ID, claimed.Add(-time.Microsecond)))
			if k.refreshed(f, 0).Refresh.GraceClosed {
				k.Error("a use from before the claim counts")
			}
			k.must(k.s.CloseGraceWindow(k.ctx, f.ID, claimed))
			if a, b, c := k.refreshed(f, 0).Refresh.GraceClosed, k.refreshed(f, 1).Refresh.GraceClosed, k.refreshed(other, 0).Refresh.GraceClosed; !a || b || c {
				k.Errorf("%t, %t, %t: the claimed token of that family alone", a, b, c)
			}
			for _, id := range []string{"none", "", "a\x00"} {
				k.must(k.s.CloseGraceWindow(k.ctx, id, claimed))
			}
		},
		"chain: claimed tokens stay, and what is sealed is erased when the successor is claimed": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			for n := range 6 {
				k.must(k.s.ClaimRefresh(k.ctx, claim(f, n)))
			}
			for n := range 7 {
				st := k.refreshed(f, n)
				if claimed := n < 6; st.Refresh.Claimed.IsZero() == claimed {
					k.Errorf("%d: claimed %v: claimed tokens stay", n, st.Refresh.Claimed)
				}
				if st.SuccessorClaimed != (n < 5) {
					k.Errorf("%d: successor claimed %t", n, st.SuccessorClaimed)
				}
				if has := st.Refresh.Sealed != nil; has != (n == 5) || has == st.Refresh.SealedUntil.IsZero() {
					k.Errorf("%d: sealed %t until %v: it is erased when the successor is claimed", n, has, st.Refresh.SealedUntil)
				}
			}
		},
		"stale: a claim in a family that has ended, or of a subject that changed, gets ErrStale and changes nothing": func(k *kit) {
			for what, change := range map[string]func(f storage.Family) error{
				"ended":    func(f storage.Family) error { return k.s.EndFamily(k.ctx, f.ID, born) },
				"bumped":   func(f storage.Family) error { _, err := k.s.BumpEpoch(k.ctx, f.Subject); return err },
				"disabled": func(f storage.Family) error { return k.s.SetActive(k.ctx, f.Subject, false) },
				"password": func(f storage.Family) error { return k.s.SetPassword(k.ctx, f.Subject, "x") },
			} {
				f, _ := k.begin(k.add(what).ID, 1)
				k.must(k.s.ClaimRefresh(k.ctx, claim(f, 0)))
				k.must(change(f))
				for n := range 2 { // also the claimed token
					k.is(k.s.ClaimRefresh(k.ctx, claim(f, n)), storage.ErrStale, what)
				}
				if st := k.refreshed(f, 1); !st.Refresh.Claimed.IsZero() {
					k.Errorf("%s: the token was claimed", what)
				}
				_, err := k.s.RefreshByDigest(k.ctx, refresh(f, 2).Digest)
				k.is(err, storage.ErrNotFound, "a refused claim inserts nothing")
			}
		},
		"absent: a claim of an unknown token gets ErrNotFound and inserts nothing": func(k *kit) {
			c := claim(family("nobody", 0, 1), 0)
			k.is(k.s.ClaimRefresh(k.ctx, c), storage.ErrNotFound, "there is no such token")
			_, err := k.s.RefreshByDigest(k.ctx, c.Next.Digest)
			k.is(err, storage.ErrNotFound, "a refused claim inserts nothing")
		},
		"expired_is_the_callers_to_judge: the store claims expired tokens: the scheme judges expiry": func(k *kit) {
			f := family(k.add("alice").ID, 0, 1)
			f.Expires = born.Add(-time.Hour)
			first := refresh(f, 0)
			first.Expires = born.Add(-2 * time.Hour)
			k.must(k.s.CreateFamily(k.ctx, f, first))
			k.must(k.s.ClaimRefresh(k.ctx, claim(f, 0)))
		},
		"end: EndFamily ends the family, erases what is sealed, and blocks its ID": func(k *kit) {
			k.needs(Blocklist)
			u := k.add("alice")
			f, _ := k.begin(u.ID, 1)
			other, _ := k.begin(u.ID, 2)
			for _, g := range []storage.Family{f, other} {
				k.must(k.s.ClaimRefresh(k.ctx, claim(g, 0)))
			}
			k.must(k.s.EndFamily(k.ctx, f.ID, born.Add(time.Hour)))
			for n := range 2 {
				if st := k.refreshed(f, n); !st.Family.Ended || st.Refresh.Sealed != nil || !st.Refresh.SealedUntil.IsZero() {
					k.Errorf("%d: %+v: nothing stays sealed in an ended family", n, st)
				}
			}
			if st := k.refreshed(other, 0); st.Family.Ended || st.Refresh.Sealed == nil {
				k.Error("another family ended too")
			}
			if !k.blocked(storage.BlockKeyOf(storage.BlockSID, "", f.ID)) || k.blocked(storage.BlockKeyOf(storage.BlockSID, "", other.ID)) {
				k.Error("the ended family's ID is blocked, and no other")
			}
		},
		"ended_twice_blocks_until_the_later_time: ending a family twice is no error, and the later time counts": func(k *kit) {
			k.needs(Blocklist, Pruner)
			f, _ := k.begin(k.add("alice").ID, 1)
			key := storage.BlockKeyOf(storage.BlockSID, "", f.ID)
			for _, until := range []int{1, 3, 2} {
				k.must(k.s.EndFamily(k.ctx, f.ID, born.Add(time.Duration(until)*time.Hour)))
			}
			_, err := k.s.Prune(k.ctx, born.Add(2*time.Hour), 100)
			k.must(err)
			if !k.blocked(key) {
				k.Error("the earlier time counts")
			}
			_, err = k.s.Prune(k.ctx, born.Add(3*time.Hour), 100)
			k.must(err)
			if k.blocked(key) {
				k.Error("the entry stays")
			}
		},
		"in_a_transaction: an error that is an answer leaves nothing in the caller's transaction, which sees its own writes": func(k *kit) {
			k.needs(Transactor)
			u := k.add("alice")
			f, first := k.begin(u.ID, 1)
			g := family(u.ID, 0, 2)
			k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
				same := family(u.ID, 0, 3)
				same.ID = f.ID
				k.is(k.s.CreateFamily(ctx, same, refresh(family(u.ID, 0, 3), 0)), storage.ErrConflict, "the id is taken")
				k.is(k.s.CreateFamily(ctx, family(u.ID, 0, 4), first), storage.ErrConflict, "the digest is taken")
				k.is(k.s.CreateFamily(ctx, family("nobody", 0, 5), first), storage.ErrStale, "there is no such subject")
				c := claim(f, 0)
				c.Next = first
				k.is(k.s.ClaimRefresh(ctx, c), storage.ErrConflict, "the successor is taken")
				k.is(k.s.ClaimRefresh(ctx, claim(g, 0)), storage.ErrNotFound, "there is no such token")
				k.is(k.s.EndFamily(ctx, g.ID, born), storage.ErrNotFound, "there is no such family")
				k.must(k.s.CreateFamily(ctx, g, refresh(g, 0)))
				k.must(k.s.ClaimRefresh(ctx, claim(g, 0)))
				k.is(k.s.ClaimRefresh(ctx, claim(g, 0)), storage.ErrConflict, "it is claimed by now")
				st, err := k.s.RefreshByDigest(ctx, refresh(g, 0).Digest)
				k.is(err, nil, "a transaction sees its own writes")
				if st.Refresh.Claimed.IsZero() {
					k.Error("a transaction does not see its own claim")
				}
				return nil
			}))
			if got := k.familiesLeft(u.ID); len(got) != 2 {
				k.Errorf("%q: answers changed something", got)
			}
			_, err := k.s.RefreshByDigest(k.ctx, refresh(family(u.ID, 0, 3), 0).Digest)
			k.is(err, storage.ErrNotFound, "an answer leaves nothing in the caller's transaction")
			if st := k.refreshed(f, 0); !st.Refresh.Claimed.IsZero() {
				k.Error("an answer changed a token")
			}
		},
	}, "client 1"))
}

// blocked reports whether the key is blocked.
func (k *kit) blocked(key storage.BlockKey) bool {
	k.Helper()
	st, err := k.s.TokenStatusOf(k.ctx, "nobody", storage.BlockKeys{JTI: key})
	k.must(err)
	return st.Blocked
}
