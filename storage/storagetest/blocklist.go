package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func blocklist(t *testing.T, s *suite) {
	jti, sid, sub := storage.BlockKeyOf(storage.BlockJTI, "iss", "1"), storage.BlockKeyOf(storage.BlockSID, "", "1"), storage.BlockKeyOf(storage.BlockSubject, "iss", "1")
	s.rules(t, map[string]func(*kit){
		"each_key: a token is blocked if one of its three keys is blocked, and each key is looked up in its place": func(k *kit) {
			for i, keys := range []storage.BlockKeys{{JTI: jti}, {SID: sid}, {Subject: sub}} {
				all := []storage.BlockKey{keys.JTI, keys.SID, keys.Subject}
				k.must(k.s.Block(k.ctx, born, all...))
				for j, one := range []storage.BlockKey{jti, sid, sub} {
					if got := k.blocked(one); got != (j <= i) {
						k.Errorf("after %d: key %d is blocked: %t", i, j, got)
					}
				}
				st, err := k.s.TokenStatusOf(k.ctx, "nobody", keys)
				k.must(err)
				if !st.Blocked {
					k.Errorf("key %d is not asked in its place", i)
				}
			}
			if st, err := k.s.TokenStatusOf(k.ctx, "nobody", storage.BlockKeys{JTI: storage.BlockKeyOf(storage.BlockJTI, "iss", "2"), SID: sid}); err != nil || !st.Blocked {
				k.Errorf("one of the keys is enough: %+v, %v", st, err)
			}
		},
		"zero_keys: the zero key is never blocked, and blocking it or a key twice changes nothing": func(k *kit) {
			k.must(k.s.Block(k.ctx, born.Add(time.Hour), storage.BlockKey{}, storage.BlockKeyOf(storage.BlockJTI, "iss", "")))
			k.must(k.s.Block(k.ctx, born.Add(time.Hour)))
			if st, err := k.s.TokenStatusOf(k.ctx, "nobody", storage.BlockKeys{}); err != nil || st.Blocked || st.Epoch != 0 {
				k.Errorf("no keys are blocked: %+v, %v", st, err)
			}
			k.must(k.s.Block(k.ctx, born, jti, storage.BlockKey{}, jti, sub))
			if !k.blocked(jti) || !k.blocked(sub) || k.blocked(storage.BlockKey{}) {
				k.Error("a key may stand there twice, and beside a zero one")
			}
		},
		"longer_never_shorter: a key stays blocked until the latest time that it was blocked to": func(k *kit) {
			k.needs(Pruner)
			for _, hours := range []int{2, 3, 1} {
				k.must(k.s.Block(k.ctx, born.Add(time.Duration(hours)*time.Hour), jti))
			}
			for hours, want := range []bool{true, true, true, false} {
				_, err := k.s.Prune(k.ctx, born.Add(time.Duration(hours)*time.Hour), 100)
				k.must(err)
				if k.blocked(jti) != want {
					k.Errorf("pruned at %d hours: blocked %t", hours, !want)
				}
			}
			k.must(k.s.Block(k.ctx, born, jti))
			if !k.blocked(jti) {
				k.Error("what was pruned cannot be blocked again")
			}
		},
		"counts_until_it_is_pruned: an entry counts until Prune deletes it, whatever its time": func(k *kit) {
			for _, until := range []time.Time{born.Add(-365 * 24 * time.Hour), time.Unix(0, 0), time.Unix(-5, 0)} {
				key := storage.BlockKeyOf(storage.BlockJTI, "iss", until.String())
				k.must(k.s.Block(k.ctx, until, key))
				if !k.blocked(key) {
					k.Errorf("an entry until %v does not count", until)
				}
			}
		},
		"epoch: TokenStatusOf returns the subject's present epoch, and 0 for an unknown or malformed subject": func(k *kit) {
			u := k.add("alice")
			for _, subject := range []string{"nobody", "", "a\x00b", "\xff"} {
				if st, err := k.s.TokenStatusOf(k.ctx, subject, storage.BlockKeys{JTI: jti}); err != nil || st.Epoch != 0 || st.Blocked {
					k.Errorf("standing of %q: %+v, %v", subject, st, err)
				}
			}
			for range 2 {
				st, err := k.s.TokenStatusOf(k.ctx, u.ID, storage.BlockKeys{})
				k.must(err)
				if st.Epoch != k.epoch(u.ID) {
					k.Errorf("epoch %d, want %d", st.Epoch, k.epoch(u.ID))
				}
				_, err = k.s.BumpEpoch(k.ctx, u.ID)
				k.must(err)
			}
		},
		"user: TokenStatusWithUser returns the account, disabled or not, with one epoch, and ErrNotFound if it is absent": func(k *kit) {
			want := k.add("alice")
			k.add("bob")
			got, st, err := k.s.TokenStatusWithUser(k.ctx, want.ID, storage.BlockKeys{JTI: jti})
			k.must(err)
			if !isOwner(got, want) || st != (storage.TokenStatus{}) {
				k.Errorf("got %+v, %+v", got, st)
			}
			k.must(k.s.SetActive(k.ctx, want.ID, false))
			k.must(k.s.Block(k.ctx, born, sub, sid))
			got, st, err = k.s.TokenStatusWithUser(k.ctx, want.ID, storage.BlockKeys{JTI: jti, Subject: sub})
			k.must(err)
			if epoch := k.epoch(want.ID); got.Active || got.Epoch != epoch || !st.Blocked || st.Epoch != epoch {
				k.Errorf("got %+v, %+v: a disabled account is returned", got, st)
			}
			for _, id := range []string{"nobody", "", "a\x00b", "\xff"} {
				_, _, err := k.s.TokenStatusWithUser(k.ctx, id, storage.BlockKeys{Subject: sub})
				k.is(err, storage.ErrNotFound, "the account is absent")
			}
		},
		"in_a_transaction: a transaction sees its own entries, and a rollback takes them back": func(k *kit) {
			k.needs(Transactor)
			failed := errors.New("on purpose")
			err := k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(k.s.Block(ctx, born, jti, sid))
				_, _, err := k.s.TokenStatusWithUser(ctx, "nobody", storage.BlockKeys{})
				k.is(err, storage.ErrNotFound, "there is no such account")
				if st, err := k.s.TokenStatusOf(ctx, "nobody", storage.BlockKeys{SID: sid}); err != nil || !st.Blocked {
					k.Errorf("a transaction does not see its own entry: %+v, %v", st, err)
				}
				return failed
			})
			k.is(err, failed, "the function's error is passed on")
			if k.blocked(jti) || k.blocked(sid) {
				k.Error("the entries were rolled back")
			}
		},
	})
}
