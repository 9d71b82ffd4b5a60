package storagetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func deviceRaces(t *testing.T, open func(*testing.T) Store) {
	create := func(k *kit, t storage.DeviceToken, l storage.DeviceLimit) error {
		_, err := k.s.CreateDeviceToken(k.ctx, t, l)
		return err
	}
	// without runs end in the midst of creations, which it may make stale.
	without := func(k *kit, u storage.User, end func() error) {
		k.Helper()
		for _, err := range race(func(i int) error {
			if i == together/2 {
				return end()
			}
			err := create(k, device(u.ID, 0, i), anyNumber)
			if errors.Is(err, storage.ErrStale) {
				return nil
			}
			return err
		}) {
			k.must(err)
		}
		for i := range together {
			if k.usableDevice(device(u.ID, 0, i).Digest) {
				k.Errorf("token %d is usable", i)
			}
		}
	}
	rules(t, open, map[string]func(*kit){
		"attack_041_limit_refuses": func(k *kit) {
			u := k.add("alice")
			made := 0
			for _, err := range race(func(i int) error {
				return create(k, device(u.ID, 0, i), storage.DeviceLimit{Max: 5, Now: born})
			}) {
				if err == nil {
					made++
				} else {
					k.is(err, storage.ErrLimit, "there is no room")
				}
			}
			if left := k.devicesLeft(u.ID); made != 5 || len(left) != 5 {
				k.Errorf("%d were made, %d are there: exactly 5", made, len(left))
			}
		},
		"attack_041_limit_evicts": func(k *kit) {
			u := k.add("alice")
			var evicted [together][]storage.DeviceToken
			for _, err := range race(func(i int) (err error) {
				evicted[i], err = k.s.CreateDeviceToken(k.ctx, device(u.ID, 0, i), storage.DeviceLimit{Max: 5, Evict: true, Now: born})
				return err
			}) {
				k.must(err)
			}
			seen := map[string]int{}
			for _, list := range evicted {
				for _, id := range deviceIDs(list) {
					seen[id]++
				}
			}
			left := k.devicesLeft(u.ID)
			for _, id := range left {
				seen[id]++
			}
			for i := range together {
				if id := device(u.ID, 0, i).ID; seen[id] != 1 {
					k.Errorf("%s is left or was evicted %d times", id, seen[id])
				}
			}
			if len(left) != 5 {
				k.Errorf("%d are left: exactly 5", len(left))
			}
		},
		"one_digest": func(k *kit) {
			for i := range together {
				k.add(fmt.Sprint(i))
			}
			k.oneWins(race(func(i int) error {
				t := device(account(fmt.Sprint(i)).ID, 0, i)
				t.Digest = storage.DigestOf("one")
				return create(k, t, anyNumber)
			}), storage.ErrConflict, "tokens of one digest")
		},
		"touch_once": func(k *kit) {
			t := k.giveDevice(k.add("alice").ID, 1)
			var touched [together]bool
			for _, err := range race(func(i int) (err error) {
				touched[i], err = k.s.TouchDeviceToken(k.ctx, t.Digest, born.Add(time.Duration(i)*time.Second), time.Time{}, born.Add(-time.Minute))
				return err
			}) {
				k.must(err)
			}
			n := 0
			for _, yes := range touched {
				if yes {
					n++
				}
			}
			if n != 1 {
				k.Errorf("%d of %d wrote", n, together)
			}
		},
		"delete_once": func(k *kit) {
			t := k.giveDevice(k.add("alice").ID, 1)
			k.oneWins(race(func(int) error { return k.s.DeleteDeviceToken(k.ctx, t.Subject, t.ID) }), storage.ErrNotFound, "deletions")
		},
		"delete_all_or_one": func(k *kit) {
			u := k.add("alice")
			for i := range together {
				k.giveDevice(u.ID, i)
			}
			var counted [together]int
			for _, err := range race(func(i int) (err error) {
				if i%8 == 0 {
					counted[i], err = k.s.DeleteDeviceTokensOf(k.ctx, u.ID, "")
					return err
				}
				if err = k.s.DeleteDeviceToken(k.ctx, u.ID, device(u.ID, 0, i).ID); err == nil {
					counted[i] = 1
				} else if errors.Is(err, storage.ErrNotFound) {
					err = nil
				}
				return err
			}) {
				k.must(err)
			}
			sum := 0
			for _, n := range counted {
				sum += n
			}
			if sum != together {
				k.Errorf("%d deletions were reported of %d tokens", sum, together)
			}
		},
		"touch_or_deleted": func(k *kit) {
			t := k.giveDevice(k.add("alice").ID, 1)
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.DeleteDeviceToken(k.ctx, t.Subject, t.ID)
				}
				_, err := k.s.TouchDeviceToken(k.ctx, t.Digest, born.Add(time.Duration(i)*time.Second), time.Time{}, born.Add(time.Hour))
				return err
			}) {
				k.must(err)
			}
			_, _, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
			k.is(err, storage.ErrNotFound, "a use does not bring a deleted token back")
		},
		"created_or_disabled": func(k *kit) {
			u := k.add("alice")
			without(k, u, func() error { return k.s.SetActive(k.ctx, u.ID, false) })
		},
		"attack_043_created_or_logged_out_everywhere": func(k *kit) {
			u := k.add("alice")
			without(k, u, func() error { _, err := k.s.BumpEpoch(k.ctx, u.ID); return err })
		},
		"attack_045_created_or_deleted": func(k *kit) {
			u := k.add("alice")
			without(k, u, func() error { return errors.Join(k.s.DeleteUser(k.ctx, u.ID), k.s.CreateUser(k.ctx, u)) })
			if n, err := k.s.DeleteDeviceTokensOf(k.ctx, u.ID, ""); n != 0 || err != nil {
				k.Errorf("%d tokens of the deleted account were left behind, %v", n, err)
			}
		},
		"created_or_forgotten": func(k *kit) {
			u := k.add("alice")
			without(k, u, func() error { return k.s.ForgetSubject(k.ctx, u.ID) })
			if n, err := k.s.DeleteDeviceTokensOf(k.ctx, u.ID, ""); n != 0 || err != nil {
				k.Errorf("%d tokens of the forgotten subject were left behind, %v", n, err)
			}
		},
	})
}
