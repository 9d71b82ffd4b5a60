package storagetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func factors(t *testing.T, s *suite) {
	factor := func(subject string, n int) storage.Factor {
		return storage.Factor{
			ID: fmt.Sprintf("factor-%s-%04d", subject, n), Subject: subject, Kind: "totp", Name: "phone", Secret: []byte{0, 1, 0xff}, KeyID: "k", Step: 7, Confirmed: true,
			Created: born.Add(time.Duration(n) * time.Second),
		}
	}
	use := func(k *kit, f storage.Factor, step int64, confirm bool) error {
		return k.s.UseFactor(k.ctx, storage.FactorUse{Subject: f.Subject, ID: f.ID, Epoch: k.epoch(f.Subject), Step: step, Confirm: confirm, Now: born.Add(time.Hour)})
	}
	list := func(k *kit, subject, kind string) []storage.Factor {
		k.Helper()
		all, err := k.s.FactorsOf(k.ctx, subject, kind)
		k.must(err)
		return all
	}
	s.rules(t, map[string]func(*kit){
		"round_trip: a factor comes back as it was stored, unused, and the oldest comes first": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			late, early, other := factor(u.ID, 2), factor(u.ID, 1), factor(u.ID, 3)
			other.Kind, other.Name, other.KeyID, other.Secret = "recovery", "", "", []byte{}
			given := late
			given.Used, given.Created = born, late.Created.In(time.FixedZone("", 60))
			for _, f := range []storage.Factor{given, early, other, factor(bob.ID, 1)} {
				k.must(k.s.CreateFactor(k.ctx, f, k.epoch(f.Subject)))
			}
			if got := list(k, u.ID, "totp"); !reflect.DeepEqual(got, []storage.Factor{early, late}) {
				k.Errorf("got %+v", got)
			}
			if got := list(k, u.ID, ""); len(got) != 3 || got[2].Kind != "recovery" {
				k.Errorf("got %+v", got)
			}
			for _, subject := range []string{"nobody", "a\x00b", ""} {
				if got := list(k, subject, ""); got != nil {
					k.Errorf("%q has %+v", subject, got)
				}
			}
			k.is(k.s.CreateFactor(k.ctx, early, k.epoch(u.ID)), storage.ErrConflict, "the ID is taken")
		},
		"refused: a factor that cannot be kept, or of an account that changed, is refused": func(k *kit) {
			u := k.add("alice")
			for what, change := range map[string]func(*storage.Factor){
				"id": func(f *storage.Factor) { f.ID = "" }, "subject": func(f *storage.Factor) { f.Subject = "" }, "kind": func(f *storage.Factor) { f.Kind = "" },
				"name": func(f *storage.Factor) { f.Name = "a\x00" }, "secret": func(f *storage.Factor) { f.Secret = make([]byte, storage.MaxFactorBytes+1) },
			} {
				f := factor(u.ID, 1)
				change(&f)
				k.is(k.s.CreateFactor(k.ctx, f, k.epoch(u.ID)), storage.ErrInvalid, what)
			}
			old := k.epoch(u.ID)
			k.must(k.s.CreateFactor(k.ctx, factor(u.ID, 1), old))
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			if len(list(k, u.ID, "")) != 1 {
				k.Error("log out everywhere turned the second factor off")
			}
			k.is(k.s.CreateFactor(k.ctx, factor(u.ID, 2), old), storage.ErrStale, "the epoch is another")
			k.is(k.s.UseFactor(k.ctx, storage.FactorUse{Subject: u.ID, ID: factor(u.ID, 1).ID, Epoch: old, Step: 9}), storage.ErrStale, "the epoch is another")
			k.is(k.s.CreateFactor(k.ctx, factor("nobody", 2), 0), storage.ErrStale, "there is no such account")
			for n := 2; n <= storage.MaxFactors; n++ {
				k.must(k.s.CreateFactor(k.ctx, factor(u.ID, n), k.epoch(u.ID)))
			}
			k.is(k.s.CreateFactor(k.ctx, factor(u.ID, storage.MaxFactors+1), k.epoch(u.ID)), storage.ErrLimit, "too many")
		},
		"use: a step is used once, none older is, and only a confirmed factor is used": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			f, fresh := factor(u.ID, 1), factor(u.ID, 2)
			fresh.Confirmed = false
			k.must(k.s.CreateFactor(k.ctx, f, k.epoch(u.ID)))
			k.must(k.s.CreateFactor(k.ctx, fresh, k.epoch(u.ID)))
			k.is(use(k, f, 7, false), storage.ErrConflict, "the step was used")
			k.must(use(k, f, 9, false))
			k.is(use(k, f, 9, false), storage.ErrConflict, "the step was used")
			k.is(use(k, f, 8, false), storage.ErrConflict, "the step is older")
			k.is(use(k, fresh, 9, false), storage.ErrConflict, "not confirmed")
			k.must(use(k, fresh, 9, true))
			k.must(use(k, fresh, 10, false))
			if got := list(k, u.ID, ""); got[0].Step != 9 || !got[0].Used.Equal(born.Add(time.Hour)) || !got[1].Confirmed || got[1].Step != 10 {
				k.Errorf("got %+v", got)
			}
			stolen := f
			stolen.Subject = bob.ID
			k.is(use(k, stolen, 20, false), storage.ErrNotFound, "another account's")
			k.is(use(k, storage.Factor{Subject: u.ID, ID: "x"}, 20, false), storage.ErrNotFound, "there is none")
			k.oneWins(race(func(int) error { return use(k, f, 30, false) }), storage.ErrConflict, "uses of one step")
		},
		"delete: a factor is deleted once, and the factors of a deleted account go with it": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			for n := range 4 {
				f := factor(u.ID, n)
				if n > 1 {
					f.Kind = "recovery"
				}
				k.must(k.s.CreateFactor(k.ctx, f, k.epoch(u.ID)))
			}
			k.must(k.s.CreateFactor(k.ctx, factor(bob.ID, 1), k.epoch(bob.ID)))
			k.is(k.s.DeleteFactor(k.ctx, bob.ID, factor(u.ID, 0).ID), storage.ErrNotFound, "another account's")
			k.oneWins(race(func(int) error { return k.s.DeleteFactor(k.ctx, u.ID, factor(u.ID, 0).ID) }), storage.ErrNotFound, "deletions of one factor")
			if n, err := k.s.DeleteFactors(k.ctx, u.ID, "recovery"); n != 2 || err != nil {
				k.Errorf("%d, %v", n, err)
			}
			if got := list(k, u.ID, ""); len(got) != 1 || got[0].Kind != "totp" {
				k.Errorf("got %+v", got)
			}
			if n, err := k.s.DeleteFactors(k.ctx, "a\x00b", "totp"); n != 0 || err != nil {
				k.Errorf("%d, %v", n, err)
			}
			k.must(k.s.DeleteSubject(k.ctx, u.ID))
			if got := list(k, u.ID, ""); got != nil {
				k.Errorf("the account is gone, not its factors: %+v", got)
			}
			if len(list(k, bob.ID, "")) != 1 {
				k.Error("another account's factor is gone")
			}
		},
	})
}
