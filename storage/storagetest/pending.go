package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// withClients adds these clients to the store of each rule, if the store has clients.
func withClients(list map[string]func(*kit), ids ...string) map[string]func(*kit) {
	out := make(map[string]func(*kit), len(list))
	for name, rule := range list {
		out[name] = func(k *kit) {
			for _, id := range ids {
				if k.s.Clients == nil {
					break
				}
				k.must(k.s.CreateClient(k.ctx, client(id)))
			}
			rule(k)
		}
	}
	return out
}

// ofClient are the records that are created for a client and redeemed or read later.
var ofClient = []struct {
	part     Part
	disabled error // the error for a disabled client
	create   func(k *kit, client, subject string, n int) error
	read     func(k *kit, client, subject string, n int) error
}{
	{Codes, storage.ErrStale, func(k *kit, client, subject string, n int) error {
		return k.s.CreateCode(k.ctx, code(client, subject, n))
	}, func(k *kit, client, subject string, n int) error {
		_, _, err := k.s.CodeByDigest(k.ctx, code(client, subject, n).Digest)
		return err
	}},
	{Families, storage.ErrStale, func(k *kit, client, subject string, n int) error {
		f := family(subject, 0, n)
		f.Client = client
		return k.s.CreateFamily(k.ctx, f, refresh(f, 0))
	}, func(k *kit, _, subject string, n int) error {
		_, err := k.s.RefreshByDigest(k.ctx, refresh(family(subject, 0, n), 0).Digest)
		return err
	}},
	{AuthRequests, nil, func(k *kit, client, subject string, n int) error {
		return k.s.CreateAuthRequest(k.ctx, requestOf(client, subject, n))
	}, func(k *kit, client, subject string, n int) error {
		_, err := k.s.AuthRequestByDigest(k.ctx, requestOf(client, subject, n).Digest)
		return err
	}},
}

func requestOf(client, subject string, n int) storage.AuthRequest {
	return storage.AuthRequest{Digest: code(client, subject, n).Digest, Purpose: "p", Client: client, Created: born, Expires: born}
}

// pending tests records that a client has not redeemed yet.
func pending(t *testing.T, s *suite) {
	list := map[string]func(*kit){}
	for _, x := range ofClient {
		// A record for a deleted client would belong to a later client with its ID.
		list["attack_280_absent_client_"+string(x.part)+": nothing is created for an absent client: ErrStale"] = func(k *kit) {
			k.needs(Clients)
			k.owns(x.part)
			u := k.add("alice")
			absent := func() {
				k.Helper()
				k.is(x.create(k, "c", u.ID, 1), storage.ErrStale, "the client is absent")
				k.is(x.read(k, "c", u.ID, 1), storage.ErrNotFound, "nothing was inserted")
			}
			absent()
			off := client("c")
			off.Disabled = true
			k.must(k.s.CreateClient(k.ctx, off))
			k.is(x.create(k, "c", u.ID, 2), x.disabled, "the client is disabled")
			k.must(k.s.DeleteClient(k.ctx, "c"))
			absent()
			if x.part != Codes {
				k.is(x.create(k, "", u.ID, 3), nil, "a record of no client")
			}
		}
		list["attack_280_created_or_deleted_"+string(x.part)+": nothing outlives its client, though it is created while the client is deleted"] = func(k *kit) {
			k.owns(x.part, Clients)
			u := k.add("alice")
			for range 5 {
				k.must(k.s.CreateClient(k.ctx, client("c")))
				for i, err := range race(func(i int) error {
					if i == together/2 {
						return k.s.DeleteClient(k.ctx, "c")
					}
					return x.create(k, "c", u.ID, i)
				}) {
					if err != nil && (i == together/2 || !errors.Is(err, storage.ErrStale)) {
						k.Errorf("%d: %v", i, err)
					}
				}
				for i := range together {
					k.is(x.read(k, "c", u.ID, i), storage.ErrNotFound, "it outlived its client")
				}
			}
		}
	}
	list["attack_279_dropped_codes: DeleteCodes deletes the unused codes of a subject for a client and no others"] = droppedCodes
	list["attack_279_dropped_device_grants: DeleteDeviceGrants deletes what a subject approved for a client and nobody claimed, and nothing else"] = droppedDeviceGrants
	s.rules(t, list)
}

// drops calls a method that deletes alice's records for the client "c". It calls it twice, because
// that is not an error, and for subjects and clients without records.
func (k *kit) drops(drop func(ctx context.Context, subject, client string) error) {
	k.Helper()
	for range 2 {
		k.must(drop(k.ctx, "id-alice", "c"))
	}
	for _, bad := range []string{"", "nobody", "a\x00"} {
		k.must(errors.Join(drop(k.ctx, bad, "c"), drop(k.ctx, "id-bob", bad)))
	}
}

func droppedCodes(k *kit) {
	k.needs(Codes, Clients)
	alice, bob := k.add("alice"), k.add("bob")
	used := code("c", alice.ID, 2)
	k.must(errors.Join(k.s.CreateClient(k.ctx, client("c")), k.s.CreateClient(k.ctx, client("d"))))
	k.must(errors.Join(
		k.s.CreateCode(k.ctx, code("c", alice.ID, 1)), k.s.CreateCode(k.ctx, used), k.s.ConsumeCode(k.ctx, used.Digest, "", time.Time{}),
		k.s.CreateCode(k.ctx, code("d", alice.ID, 1)), k.s.CreateCode(k.ctx, code("c", bob.ID, 1))))
	k.drops(k.s.DeleteCodes)
	_, _, err := k.s.CodeByDigest(k.ctx, code("c", alice.ID, 1).Digest)
	k.is(err, storage.ErrNotFound, "a code that was not used")
	for _, c := range []storage.Code{used, code("d", alice.ID, 1), code("c", bob.ID, 1)} {
		_, _, err := k.s.CodeByDigest(k.ctx, c.Digest)
		k.is(err, nil, "a used code, another client's and another user's stay")
	}
}

func droppedDeviceGrants(k *kit) {
	k.needs(DeviceGrants, Clients)
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
	approved, claimed := device(0, "c", alice.ID), device(1, "c", alice.ID)
	k.must(k.s.ConsumeDeviceGrant(k.ctx, claimed, born))
	others := []storage.Digest{claimed, device(2, "d", alice.ID), device(3, "c", bob.ID), device(4, "c", alice.ID), device(5, "c", "")}
	k.drops(k.s.DeleteDeviceGrants)
	_, err := k.s.PollDeviceGrant(k.ctx, approved, "c", born)
	k.is(err, storage.ErrNotFound, "an approved device grant")
	for i, d := range others {
		_, err := k.s.PollDeviceGrant(k.ctx, d, map[bool]string{true: "d", false: "c"}[i == 1], born)
		k.is(err, nil, "claimed, denied and pending device grants, another client's and another user's stay")
	}
}
