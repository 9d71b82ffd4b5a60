package storagetest

import (
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

func deviceEnds(t *testing.T, open func(*testing.T) Store) {
	rules(t, open, map[string]func(*kit){
		"delete": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			t := k.giveDevice(u.ID, 1)
			k.giveDevice(bob.ID, 1)
			k.is(k.s.DeleteDeviceToken(k.ctx, bob.ID, "other"), storage.ErrNotFound, "there is no such token")
			k.must(k.s.DeleteDeviceToken(k.ctx, u.ID, t.ID))
			k.is(k.s.DeleteDeviceToken(k.ctx, u.ID, t.ID), storage.ErrNotFound, "it is deleted already")
			_, _, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
			k.is(err, storage.ErrNotFound, "it is deleted")
			if left := k.devicesLeft(bob.ID); len(left) != 1 {
				k.Errorf("another subject's token of that ID: %q are left", left)
			}
		},
		"delete_all": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			for n := range 4 {
				k.giveDevice(u.ID, n)
			}
			k.giveDevice(bob.ID, 1)
			if n, err := k.s.DeleteDeviceTokensOf(k.ctx, u.ID, "device-0002"); err != nil || n != 3 {
				k.Errorf("deleted %d, %v: all but the kept one", n, err)
			}
			if left := k.devicesLeft(u.ID); !slices.Equal(left, []string{"device-0002"}) {
				k.Errorf("left: %q", left)
			}
			if n, err := k.s.DeleteDeviceTokensOf(k.ctx, u.ID, "device-0001"); err != nil || n != 1 {
				k.Errorf("deleted %d, %v: what is to be kept need not be there", n, err)
			}
			k.giveDevice(u.ID, 5)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.giveDevice(u.ID, 6)
			for _, want := range []int{2, 0} {
				if n, err := k.s.DeleteDeviceTokensOf(k.ctx, u.ID, ""); err != nil || n != want {
					k.Errorf("deleted %d, %v, want %d: \"\" keeps none, of whatever epoch", n, err, want)
				}
			}
			if left := k.devicesLeft(bob.ID); len(left) != 1 {
				k.Errorf("another subject has %q left", left)
			}
		},
		"ends_with": func(k *kit) {
			for name, end := range map[string]func(id string) error{
				"password": func(id string) error { return k.s.SetPassword(k.ctx, id, "x") },
				"change":   func(id string) error { return k.s.ChangePassword(k.ctx, id, k.epoch(id), "x") },
				"disable":  func(id string) error { return k.s.SetActive(k.ctx, id, false) },
				"forget":   func(id string) error { return k.s.ForgetSubject(k.ctx, id) },
				"delete":   func(id string) error { return k.s.DeleteUser(k.ctx, id) },
			} {
				u, other := k.add(name), k.add("other "+name)
				t, kept := k.giveDevice(u.ID, 1), k.giveDevice(other.ID, 1)
				k.must(end(u.ID))
				_, _, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
				k.is(err, storage.ErrNotFound, name+" deletes the device tokens")
				if n, err := k.s.DeleteDeviceTokensOf(k.ctx, u.ID, ""); err != nil || n != 0 {
					k.Errorf("%s left %d, %v", name, n, err)
				}
				if !k.usableDevice(kept.Digest) {
					k.Errorf("%s took another subject's token", name)
				}
			}
		},
	})
}
