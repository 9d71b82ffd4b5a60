package storagetest

import (
	"errors"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// pending is what a client has not redeemed yet.
func pending(t *testing.T, open func(*testing.T) Store) {
	rules(t, open, map[string]func(*kit){
		// What is inserted for a client that is gone would be a later client's of its ID.
		"attack_280_absent_client": func(k *kit) {
			u := k.add("alice")
			f := family(u.ID, 0, 1)
			f.Client = "c"
			request := storage.AuthRequest{Digest: storage.DigestOf("request"), Purpose: "p", Client: "c", Created: born, Expires: born}
			create := func() [3]error {
				return [3]error{k.s.CreateCode(k.ctx, code("c", u.ID, 1)), k.s.CreateFamily(k.ctx, f, refresh(f, 0)), k.s.CreateAuthRequest(k.ctx, request)}
			}
			absent := func() {
				k.Helper()
				for i, err := range create() {
					k.is(err, storage.ErrStale, []string{"a code", "a family", "a request"}[i]+" of a client that is absent")
				}
				_, _, err := k.s.CodeByDigest(k.ctx, code("c", u.ID, 1).Digest)
				k.is(err, storage.ErrNotFound, "no code was inserted")
				_, err = k.s.RefreshByDigest(k.ctx, refresh(f, 0).Digest)
				k.is(err, storage.ErrNotFound, "no refresh token was inserted")
				_, err = k.s.AuthRequestByDigest(k.ctx, request.Digest)
				k.is(err, storage.ErrNotFound, "no request was inserted")
			}
			absent()
			off := client("c")
			off.Disabled = true
			k.must(k.s.CreateClient(k.ctx, off))
			for i, err := range create() {
				if want := []error{storage.ErrStale, storage.ErrStale, nil}[i]; !errors.Is(err, want) {
					k.Errorf("%d of a disabled client: %v, want %v", i, err, want)
				}
			}
			k.must(k.s.DeleteClient(k.ctx, "c"))
			absent()
			none := request
			none.Client, none.Digest = "", storage.DigestOf("of none")
			k.must(k.s.CreateAuthRequest(k.ctx, none))
		},
		"attack_280_created_or_deleted": func(k *kit) {
			u := k.add("alice")
			for range 5 {
				k.must(k.s.CreateClient(k.ctx, client("c")))
				for i, err := range race(func(i int) error {
					f := family(u.ID, 0, i)
					f.Client = "c"
					switch {
					case i == together/2:
						return k.s.DeleteClient(k.ctx, "c")
					case i%2 == 0:
						return k.s.CreateCode(k.ctx, code("c", u.ID, i))
					}
					return k.s.CreateFamily(k.ctx, f, refresh(f, 0))
				}) {
					if err != nil && (i == together/2 || !errors.Is(err, storage.ErrStale)) {
						k.Errorf("%d: %v", i, err)
					}
				}
				for i := range together {
					_, _, err := k.s.CodeByDigest(k.ctx, code("c", u.ID, i).Digest)
					k.is(err, storage.ErrNotFound, "a code outlived its client")
					_, err = k.s.RefreshByDigest(k.ctx, refresh(family(u.ID, 0, i), 0).Digest)
					k.is(err, storage.ErrNotFound, "a refresh token outlived its client")
				}
			}
		},
		"attack_279_dropped": func(k *kit) {
			alice, bob := k.add("alice"), k.add("bob")
			k.must(errors.Join(k.s.CreateClient(k.ctx, client("c")), k.s.CreateClient(k.ctx, client("d"))))
			device := func(n int, app, subject string) storage.Digest {
				g := storage.DeviceGrant{Digest: storage.DigestOf(string(rune('a' + n))), UserCode: storage.MAC{byte(n + 1)}, Client: app, Interval: 5e9, Created: born, Expires: born.AddDate(0, 0, 1)}
				k.must(k.s.CreateDeviceGrant(k.ctx, g))
				if subject != "" {
					k.must(k.s.DecideDeviceGrant(k.ctx, storage.DeviceDecision{Digest: g.Digest, Approve: n != 4, Subject: subject, Now: born}))
				}
				return g.Digest
			}
			used := code("c", alice.ID, 2)
			k.must(errors.Join(
				k.s.CreateCode(k.ctx, code("c", alice.ID, 1)), k.s.CreateCode(k.ctx, used), k.s.UseCode(k.ctx, used.Digest, ""),
				k.s.CreateCode(k.ctx, code("d", alice.ID, 1)), k.s.CreateCode(k.ctx, code("c", bob.ID, 1))))
			approved, claimed := device(0, "c", alice.ID), device(1, "c", alice.ID)
			k.must(k.s.ClaimDeviceGrant(k.ctx, claimed, born))
			others := []storage.Digest{claimed, device(2, "d", alice.ID), device(3, "c", bob.ID), device(4, "c", alice.ID), device(5, "c", "")}
			for range 2 { // again is no error
				k.must(errors.Join(k.s.DropCodes(k.ctx, alice.ID, "c"), k.s.DropDeviceGrants(k.ctx, alice.ID, "c")))
			}
			for _, bad := range []string{"", "nobody", "a\x00"} {
				k.must(errors.Join(k.s.DropCodes(k.ctx, bad, "c"), k.s.DropDeviceGrants(k.ctx, bad, "c"), k.s.DropCodes(k.ctx, bob.ID, bad), k.s.DropDeviceGrants(k.ctx, bob.ID, bad)))
			}
			_, _, err := k.s.CodeByDigest(k.ctx, code("c", alice.ID, 1).Digest)
			k.is(err, storage.ErrNotFound, "a code that was not used")
			for _, c := range []storage.Code{used, code("d", alice.ID, 1), code("c", bob.ID, 1)} {
				_, _, err := k.s.CodeByDigest(k.ctx, c.Digest)
				k.is(err, nil, "a used code, another client's and another user's stay")
			}
			_, err = k.s.PollDeviceGrant(k.ctx, approved, "c", born)
			k.is(err, storage.ErrNotFound, "an approved device grant")
			for i, d := range others {
				_, err := k.s.PollDeviceGrant(k.ctx, d, map[bool]string{true: "d", false: "c"}[i == 1], born)
				k.is(err, nil, "claimed, denied and pending device grants, another client's and another user's stay")
			}
		},
	})
}
