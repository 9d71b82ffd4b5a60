package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// device makes a device token; n tells those of a subject apart, and is their order.
func device(subject string, epoch int64, n int) storage.DeviceToken {
	return storage.DeviceToken{
		Digest: storage.DigestOf(fmt.Sprintf("device %s %d", subject, n)), ID: fmt.Sprintf("device-%04d", n), Subject: subject,
		Name: fmt.Sprint("phone ", n), Scopes: []string{"read", "a:b/c"}, Epoch: epoch, Created: born.Add(time.Duration(n) * time.Second),
		Expires: born.Add(24 * time.Hour), TTL: 10 * time.Hour, Max: born.Add(30 * 24 * time.Hour),
	}
}

// anyNumber is no limit.
var anyNumber = storage.DeviceLimit{Now: born}

// giveDevice stores a device token of an account that is there.
func (k *kit) giveDevice(subject string, n int) storage.DeviceToken {
	k.Helper()
	t := device(subject, k.epoch(subject), n)
	_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
	k.must(err)
	return t
}

// deviceIDs are those of a list.
func deviceIDs(list []storage.DeviceToken) (ids []string) {
	for _, t := range list {
		ids = append(ids, t.ID)
	}
	return ids
}

// devicesLeft returns the IDs that the subject lists.
func (k *kit) devicesLeft(subject string) []string {
	k.Helper()
	list, err := k.s.ListDeviceTokens(k.ctx, subject, 1000)
	k.must(err)
	return deviceIDs(list)
}

// usableDevice reports whether a scheme would accept the token.
func (k *kit) usableDevice(d storage.Digest) bool {
	k.Helper()
	t, u, err := k.s.DeviceTokenByDigest(k.ctx, d)
	if err != nil {
		k.is(err, storage.ErrNotFound, "a token is there or absent")
		return false
	}
	return u.Active && t.Epoch == u.Epoch
}

func deviceTokens(t *testing.T, open func(*testing.T) Store) {
	rules(t, open, map[string]func(*kit){
		"round_trip": func(k *kit) {
			u := k.add("alice")
			want := k.giveDevice(u.ID, 1)
			got, owner, err := k.s.DeviceTokenByDigest(k.ctx, want.Digest)
			k.must(err)
			if !reflect.DeepEqual(got, want) || !isOwner(owner, u) {
				k.Errorf("got %+v of %+v, want %+v", got, owner, want)
			}
			list, err := k.s.ListDeviceTokens(k.ctx, u.ID, 10)
			k.must(err)
			if len(list) != 1 || !reflect.DeepEqual(list[0], want) {
				k.Errorf("got %+v", list)
			}
		},
		"scopes_nil_or_none": func(k *kit) {
			u := k.add("alice")
			for i, scopes := range [][]string{nil, {}, {"a"}, {"a", "b", "a"}} {
				t := device(u.ID, 0, i)
				t.Scopes = scopes
				_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
				k.must(err)
				got, _, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
				k.must(err)
				if !reflect.DeepEqual(got.Scopes, scopes) {
					k.Errorf("%#v came back as %#v: nil does not limit, an empty list allows none", scopes, got.Scopes)
				}
			}
			list, err := k.s.ListDeviceTokens(k.ctx, u.ID, 10)
			k.must(err)
			if list[3].Scopes != nil || list[2].Scopes == nil || len(list[2].Scopes) != 0 {
				k.Errorf("listed as %#v and %#v", list[3].Scopes, list[2].Scopes)
			}
		},
		"times_are_utc": func(k *kit) {
			u := k.add("alice")
			t := device(u.ID, 0, 1)
			t.Created, t.Expires, t.Max = t.Created.In(time.FixedZone("", 3600)), time.Time{}, time.Time{}
			t.LastUsed, t.TTL = born.In(time.FixedZone("", -7200)), 0
			_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
			k.must(err)
			got, _, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
			k.must(err)
			if !got.Created.Equal(t.Created) || !got.LastUsed.Equal(born) || got.Created.Location() != time.UTC || got.LastUsed.Location() != time.UTC {
				k.Errorf("created %v, last used %v: times are UTC, to the microsecond", got.Created, got.LastUsed)
			}
			if !got.Expires.IsZero() || !got.Max.IsZero() || got.TTL != 0 {
				k.Errorf("no end came back as %v, %v, %v", got.Expires, got.Max, got.TTL)
			}
		},
		"expired_is_returned": func(k *kit) {
			u := k.add("alice")
			t := device(u.ID, 0, 1)
			t.Expires = born.Add(-time.Hour)
			_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
			k.must(err)
			got, _, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
			k.must(err)
			if !got.Expired(born) || len(k.devicesLeft(u.ID)) != 1 {
				k.Errorf("%+v: the scheme judges expiry", got)
			}
		},
		"epoch_of_now_comes_along": func(k *kit) {
			u := k.add("alice")
			t := k.giveDevice(u.ID, 1)
			n, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			got, owner, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
			k.must(err)
			if got.Epoch != t.Epoch || owner.Epoch != n {
				k.Errorf("token %d, account %d: want %d and %d", got.Epoch, owner.Epoch, t.Epoch, n)
			}
			if left := k.devicesLeft(u.ID); len(left) != 0 {
				k.Errorf("%q are listed: their epoch is past", left)
			}
		},
		"absent": func(k *kit) {
			_, _, err := k.s.DeviceTokenByDigest(k.ctx, storage.DigestOf("x"))
			k.is(err, storage.ErrNotFound, "there is no such token")
			_, _, err = k.s.DeviceTokenByDigest(k.ctx, storage.Digest{})
			k.is(err, storage.ErrNotFound, "no token has the zero digest")
			for _, bad := range []string{"nobody", "", "a\x00", "\xff", strings.Repeat("x", 300)} {
				k.is(k.s.DeleteDeviceToken(k.ctx, bad, "x"), storage.ErrNotFound, "a malformed subject counts as absent")
				k.is(k.s.DeleteDeviceToken(k.ctx, "x", bad), storage.ErrNotFound, "a malformed id counts as absent")
				n, err := k.s.DeleteDeviceTokensOf(k.ctx, bad, bad)
				if left := k.devicesLeft(bad); err != nil || n != 0 || len(left) != 0 {
					k.Errorf("%q: %d deleted, %q left, %v", bad, n, left, err)
				}
			}
		},
		"invalid": func(k *kit) {
			u := k.add("alice")
			for what, change := range map[string]func(*storage.DeviceToken){
				"no subject": func(t *storage.DeviceToken) { t.Subject = "" }, "subject": func(t *storage.DeviceToken) { t.Subject = "\x00" },
				"no id": func(t *storage.DeviceToken) { t.ID = "" }, "id": func(t *storage.DeviceToken) { t.ID = "a\xff" },
				"name": func(t *storage.DeviceToken) { t.Name = "a\x00" }, "long name": func(t *storage.DeviceToken) { t.Name = strings.Repeat("x", 256) },
				"empty scope": func(t *storage.DeviceToken) { t.Scopes = []string{""} }, "scope with a blank": func(t *storage.DeviceToken) { t.Scopes = []string{"a b"} },
				"scope": func(t *storage.DeviceToken) { t.Scopes = []string{"ä"} }, "long scopes": func(t *storage.DeviceToken) { t.Scopes = []string{strings.Repeat("x", storage.MaxScopes)} },
			} {
				t := device(u.ID, 0, 1)
				change(&t)
				_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
				k.is(err, storage.ErrInvalid, what)
			}
			if left := k.devicesLeft(u.ID); len(left) != 0 {
				k.Errorf("a refused token is there: %q", left)
			}
			t := device(u.ID, 0, 1)
			t.Name = ""
			_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
			k.is(err, nil, "a device needs no name")
		},
		"stale": func(k *kit) {
			u := k.add("alice")
			create := func(t storage.DeviceToken) error {
				_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
				return err
			}
			k.is(create(device("nobody", 0, 1)), storage.ErrStale, "there is no such subject")
			k.is(create(device(u.ID, 5, 1)), storage.ErrStale, "the epoch is another")
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			k.is(create(device(u.ID, k.epoch(u.ID), 1)), storage.ErrStale, "the subject is disabled")
			if left := k.devicesLeft(u.ID); len(left) != 0 {
				k.Errorf("nothing was written, but %q", left)
			}
		},
		"taken": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			first := k.giveDevice(u.ID, 1)
			for what, change := range map[string]func(*storage.DeviceToken){
				"both": func(*storage.DeviceToken) {}, "digest": func(t *storage.DeviceToken) { t.ID = "other" }, "id": func(t *storage.DeviceToken) { t.Digest = storage.DigestOf("other") },
				"digest of another's": func(t *storage.DeviceToken) { t.ID, t.Subject = "other", bob.ID },
			} {
				t := first
				t.Name = "changed"
				change(&t)
				_, err := k.s.CreateDeviceToken(k.ctx, t, storage.DeviceLimit{Max: 2, Evict: true, Now: born})
				k.is(err, storage.ErrConflict, what)
			}
			got, _, err := k.s.DeviceTokenByDigest(k.ctx, first.Digest)
			k.must(err)
			if left := k.devicesLeft(u.ID); got.Name != first.Name || got.Subject != u.ID || !slices.Equal(left, []string{first.ID}) {
				k.Errorf("a refused token changed something: %+v, %q", got, left)
			}
		},
		"list": func(k *kit) {
			u := k.add("alice")
			for _, n := range []int{3, 1, 2} {
				k.giveDevice(u.ID, n)
			}
			for _, id := range []string{"z", "B", "a", "ä"} {
				t := device(u.ID, 0, 9)
				t.ID, t.Digest = id, storage.DigestOf(id)
				_, err := k.s.CreateDeviceToken(k.ctx, t, anyNumber)
				k.must(err)
			}
			k.giveDevice(k.add("bob").ID, 1)
			want := []string{"B", "a", "z", "ä", "device-0003", "device-0002", "device-0001"}
			if got := k.devicesLeft(u.ID); !slices.Equal(got, want) {
				k.Errorf("got %q, want %q: the last created first, then by the bytes of the ID", got, want)
			}
			for limit, n := range map[int]int{-1: 0, 0: 0, 2: 2, 100: 7} {
				if list, err := k.s.ListDeviceTokens(k.ctx, u.ID, limit); err != nil || !slices.Equal(deviceIDs(list), want[:n]) && n > 0 || len(list) != n {
					k.Errorf("up to %d: %q, %v", limit, deviceIDs(list), err)
				}
			}
		},
		"what_is_kept_is_a_copy": func(k *kit) {
			u := k.add("alice")
			t := k.giveDevice(u.ID, 1)
			t.Scopes[0] = "changed"
			for range 2 {
				got, _, err := k.s.DeviceTokenByDigest(k.ctx, t.Digest)
				k.must(err)
				list, err := k.s.ListDeviceTokens(k.ctx, u.ID, 1)
				k.must(err)
				if got.Scopes[0] != "read" || list[0].Scopes[0] != "read" {
					k.Error("a caller changed a stored token")
				}
				got.Scopes[0], list[0].Scopes[0] = "changed", "changed"
			}
		},
	})
}
