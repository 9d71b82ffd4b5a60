package storagetest

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// chase claims the tokens of one family, one after the other and all concurrently, and runs end
// meanwhile. It fails if a claim succeeds that began after end returned. It returns the number of
// claimed tokens.
func (k *kit) chase(f storage.Family, end func() error) int {
	k.Helper()
	var claimed atomic.Int64
	var ended atomic.Bool
	midst := make(chan struct{}) // closed when three tokens are claimed
	for _, err := range race(func(i int) error {
		if i == 0 {
			select {
			case <-k.ctx.Done():
				return k.ctx.Err()
			case <-midst:
			}
			err := end()
			ended.Store(true)
			return err
		}
		for {
			n, late := claimed.Load(), ended.Load()
			switch err := k.s.ClaimRefresh(k.ctx, claim(f, int(n))); {
			case err == nil:
				if claimed.Add(1) == 3 {
					close(midst)
				}
				if late {
					k.Errorf("token %d was claimed after the end", n)
				}
			case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrNotFound) && !late:
			case errors.Is(err, storage.ErrStale), errors.Is(err, storage.ErrNotFound):
				return nil
			default:
				return err
			}
			if late {
				return nil
			}
		}
	}) {
		k.must(err)
	}
	return int(claimed.Load())
}

func familyRaces(t *testing.T, s *suite) {
	s.rules(t, withClients(map[string]func(*kit){
		"attack_092_one_claim_wins: of concurrent claims of one token one succeeds": func(k *kit) {
			f, first := k.begin(k.add("alice").ID, 1)
			next := func(i int) storage.Refresh { return refresh(f, 100+i) }
			errs := race(func(i int) error {
				c := claim(f, 0)
				c.Next, c.Sealed = next(i), []byte{byte(i)}
				return k.s.ClaimRefresh(k.ctx, c)
			})
			k.oneWins(errs, storage.ErrConflict, "claims of one token")
			for i, err := range errs {
				_, lookup := k.s.RefreshByDigest(k.ctx, next(i).Digest)
				if err != nil {
					k.is(lookup, storage.ErrNotFound, "a loser inserts nothing")
					continue
				}
				k.must(lookup)
				st, err := k.s.RefreshByDigest(k.ctx, first.Digest)
				k.must(err)
				if len(st.Refresh.Sealed) != 1 || st.Refresh.Sealed[0] != byte(i) {
					k.Error("what is sealed is another's than the winner's")
				}
			}
		},
		"one_successor: of concurrent claims with one successor one succeeds": func(k *kit) {
			u := k.add("alice")
			for i := range together {
				k.begin(u.ID, i)
			}
			k.oneWins(race(func(i int) error {
				c := claim(family(u.ID, 0, i), 0)
				c.Next.Digest = storage.DigestOf("one")
				return k.s.ClaimRefresh(k.ctx, c)
			}), storage.ErrConflict, "successors of one digest")
			claimed := 0
			for i := range together {
				if !k.refreshed(family(u.ID, 0, i), 0).Refresh.Claimed.IsZero() {
					claimed++
				}
			}
			if claimed != 1 {
				k.Errorf("%d tokens are claimed", claimed)
			}
		},
		"one_family: of families with one ID or one first token one is created": func(k *kit) {
			u := k.add("alice")
			k.oneWins(race(func(i int) error {
				f := family(u.ID, 0, i)
				r := refresh(f, 0)
				f.ID = "one"
				return k.s.CreateFamily(k.ctx, f, r)
			}), storage.ErrConflict, "families of one id")
			kept := 0
			for i := range together {
				if _, err := k.s.RefreshByDigest(k.ctx, refresh(family(u.ID, 0, i), 0).Digest); err == nil {
					kept++
				} else {
					k.is(err, storage.ErrNotFound, "a loser inserts nothing")
				}
			}
			if kept != 1 {
				k.Errorf("%d first tokens are there", kept)
			}
		},
		"attack_096_claim_or_end: no claim succeeds after EndFamily returned, and nothing stays sealed": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			n := k.chase(f, func() error { return k.s.EndFamily(k.ctx, f.ID, born) })
			for i := range n + 1 {
				if st := k.refreshed(f, i); !st.Family.Ended || st.Refresh.Sealed != nil {
					k.Errorf("%d of %d: ended %t, sealed %t", i, n, st.Family.Ended, st.Refresh.Sealed != nil)
				}
			}
		},
		"attack_097_claim_or_disabled: no claim succeeds after the subject was disabled": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			n := k.chase(f, func() error { return k.s.SetActive(k.ctx, f.Subject, false) })
			if st := k.refreshed(f, n); st.User.Active || st.User.Epoch == st.Family.Epoch {
				k.Errorf("got %+v", st)
			}
		},
		"attack_097_claim_or_logged_out_everywhere: no claim succeeds after the epoch moved": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			n := k.chase(f, func() error { _, err := k.s.BumpEpoch(k.ctx, f.Subject); return err })
			if st := k.refreshed(f, n); st.User.Epoch == st.Family.Epoch {
				k.Errorf("got %+v", st)
			}
		},
		"attack_045_claim_or_deleted: nothing is left of the families of an account that is deleted meanwhile": func(k *kit) {
			k.owns(Accounts)
			u := k.add("alice")
			f, _ := k.begin(u.ID, 1)
			n := k.chase(f, func() error { return errors.Join(k.s.DeleteUser(k.ctx, u.ID), k.s.CreateUser(k.ctx, u)) })
			for i := range n + 1 {
				k.unused(u.ID, refresh(f, i), i)
			}
		},
		"attack_045_created_or_deleted: nothing is left of the families of a subject that is forgotten meanwhile": func(k *kit) {
			k.owns(Subjects)
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.DeleteSubject(k.ctx, u.ID)
				}
				f := family(u.ID, 0, i)
				if err := k.s.CreateFamily(k.ctx, f, refresh(f, 0)); !errors.Is(err, storage.ErrStale) {
					return err
				}
				return nil
			}) {
				k.must(err)
			}
			for i := range together {
				k.is(k.s.EndFamily(k.ctx, family(u.ID, 0, i).ID, born), storage.ErrNotFound, "nothing is left of a forgotten subject")
				k.unused(u.ID, refresh(family(u.ID, 0, i), 0), i)
			}
		},
		"end_and_end: concurrent ends of one family all succeed": func(k *kit) {
			u := k.add("alice")
			f, _ := k.begin(u.ID, 1)
			for _, err := range race(func(int) error { return k.s.EndFamily(k.ctx, f.ID, born) }) {
				k.is(err, nil, "ending twice is no error")
			}
		},
	}, "client 1"))
}
