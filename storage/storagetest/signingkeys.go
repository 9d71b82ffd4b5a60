package storagetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func signingKey(id string, from int) storage.SigningKey {
	return storage.SigningKey{
		ID: id, Purpose: "jwt", Algorithm: "ES256", MasterID: "master", Sealed: []byte{0, 1, 0xff},
		Created: born, SignsFrom: born.Add(time.Duration(from) * time.Hour), Expires: born.Add(1000 * time.Hour),
	}
}

func signingKeys(t *testing.T, s *suite) {
	ids := func(k *kit, purpose string) (ids []string) {
		k.Helper()
		list, err := k.s.ListSigningKeys(k.ctx, purpose)
		k.must(err)
		for _, key := range list {
			ids = append(ids, key.ID)
		}
		return ids
	}
	s.rules(t, map[string]func(*kit){
		"round_trip: a key comes back as it was stored": func(k *kit) {
			want := signingKey("1", 0)
			given := want
			given.Created, given.SignsFrom = born.In(time.FixedZone("", 3600)), given.SignsFrom.In(time.FixedZone("", 3600))
			k.must(k.s.CreateSigningKey(k.ctx, given, ""))
			open := signingKey("2", 1)
			open.Expires, open.Sealed = time.Time{}, nil
			k.must(k.s.CreateSigningKey(k.ctx, open, "1"))
			list, err := k.s.ListSigningKeys(k.ctx, "jwt")
			k.must(err)
			if len(list) != 2 || !reflect.DeepEqual(list[1], want) || !list[0].Expires.IsZero() || len(list[0].Sealed) != 0 {
				k.Errorf("got %#v", list)
			}
		},
		"order: keys are listed by SignsFrom, then Created, then ID, the newest first": func(k *kit) {
			newest := ""
			for _, add := range []struct {
				id            string
				from, created int
			}{{"b", 2, 0}, {"c", 1, 5}, {"d", 2, 1}, {"a", 2, 0}, {"Z", 2, 0}} {
				key := signingKey(add.id, add.from)
				key.Created = born.Add(time.Duration(add.created) * time.Minute)
				key.Expires = born.Add(-time.Hour) // expired keys are included
				k.must(k.s.CreateSigningKey(k.ctx, key, newest))
				newest = ids(k, "jwt")[0]
			}
			if got, want := ids(k, "jwt"), []string{"d", "Z", "a", "b", "c"}; !slices.Equal(got, want) {
				k.Errorf("got %q, want %q: the last SignsFrom first, then the last created, then by the bytes of the ID", got, want)
			}
		},
		"only_after_the_newest: a key is added only if the caller knows the newest one; ErrConflict changes nothing": func(k *kit) {
			k.is(k.s.CreateSigningKey(k.ctx, signingKey("1", 0), "x"), storage.ErrConflict, "there is none yet")
			k.must(k.s.CreateSigningKey(k.ctx, signingKey("1", 5), ""))
			k.is(k.s.CreateSigningKey(k.ctx, signingKey("2", 6), ""), storage.ErrConflict, "there is one by now")
			k.must(k.s.CreateSigningKey(k.ctx, signingKey("2", 1), "1")) // it does not become the newest
			k.is(k.s.CreateSigningKey(k.ctx, signingKey("3", 6), "2"), storage.ErrConflict, "the newest is another")
			k.must(k.s.CreateSigningKey(k.ctx, signingKey("3", 6), "1"))
			k.is(k.s.CreateSigningKey(k.ctx, signingKey("4", 7), "1"), storage.ErrConflict, "the newest is another")
			k.is(k.s.CreateSigningKey(k.ctx, signingKey("1", 7), "3"), storage.ErrConflict, "the id is taken")
			if got := ids(k, "jwt"); !slices.Equal(got, []string{"3", "1", "2"}) {
				k.Errorf("got %q: a refused key changes nothing", got)
			}
			other := signingKey("1", 0)
			other.Purpose = "oauth2"
			k.must(k.s.CreateSigningKey(k.ctx, other, ""))
			if got := ids(k, "oauth2"); !slices.Equal(got, []string{"1"}) {
				k.Errorf("got %q: each purpose has its own", got)
			}
		},
		"purposes: purposes that have keys are listed, sorted, and kept apart": func(k *kit) {
			for _, purpose := range []string{"b", "B", "a"} {
				for n, newest := range []string{"", "0"} {
					key := signingKey(fmt.Sprint(n), n)
					key.Purpose, key.Expires = purpose, born.Add(-time.Hour) // expired keys are included
					k.must(k.s.CreateSigningKey(k.ctx, key, newest))
				}
			}
			if got, err := k.s.SigningPurposes(k.ctx); err != nil || !slices.Equal(got, []string{"B", "a", "b"}) {
				k.Errorf("got %q, %v: each once, sorted", got, err)
			}
		},
		"invalid: a key that cannot be kept is refused with ErrInvalid": func(k *kit) {
			for what, change := range map[string]func(*storage.SigningKey){
				"id": func(key *storage.SigningKey) { key.ID = "" }, "purpose": func(key *storage.SigningKey) { key.Purpose = "\x00" },
				"algorithm": func(key *storage.SigningKey) { key.Algorithm = "\xff" }, "master": func(key *storage.SigningKey) { key.MasterID = "" },
			} {
				key := signingKey("1", 0)
				change(&key)
				k.is(k.s.CreateSigningKey(k.ctx, key, ""), storage.ErrInvalid, what)
			}
			for _, bad := range []string{"nothing", "", "a\x00", "\xff"} {
				if got := ids(k, bad); len(got) != 0 {
					k.Errorf("keys of %q: %q", bad, got)
				}
				k.is(k.s.ExpireSigningKey(k.ctx, bad, "1", born), storage.ErrNotFound, "there is no such key")
				k.is(k.s.ExpireSigningKey(k.ctx, "jwt", bad, born), storage.ErrNotFound, "there is no such key")
			}
		},
		"expire: the end of a key can be set; ErrNotFound if there is no such key": func(k *kit) {
			k.must(k.s.CreateSigningKey(k.ctx, signingKey("1", 0), ""))
			k.must(k.s.CreateSigningKey(k.ctx, signingKey("2", 1), "1"))
			for _, at := range []time.Time{born.Add(5 * time.Hour), born.In(time.FixedZone("", 60)), {}} {
				k.must(k.s.ExpireSigningKey(k.ctx, "jwt", "1", at))
				list, err := k.s.ListSigningKeys(k.ctx, "jwt")
				k.must(err)
				want := signingKey("1", 0)
				if want.Expires = at.UTC(); !reflect.DeepEqual(list[1], want) || !reflect.DeepEqual(list[0], signingKey("2", 1)) {
					k.Errorf("got %#v", list)
				}
			}
		},
		"what_is_kept_is_a_copy: the sealed key is not shared with the caller": func(k *kit) {
			key := signingKey("1", 0)
			k.must(k.s.CreateSigningKey(k.ctx, key, ""))
			key.Sealed[0] = 9
			for range 2 {
				list, err := k.s.ListSigningKeys(k.ctx, "jwt")
				k.must(err)
				if list[0].Sealed[0] != 0 {
					k.Error("a caller changed a stored key")
				}
				list[0].Sealed[0] = 9
			}
		},
		"in_a_transaction: an error that is an answer leaves nothing in the caller's transaction": func(k *kit) {
			k.needs(Transactor)
			k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(k.s.CreateSigningKey(ctx, signingKey("1", 0), ""))
				k.is(k.s.CreateSigningKey(ctx, signingKey("1", 1), "1"), storage.ErrConflict, "the id is taken")
				k.is(k.s.CreateSigningKey(ctx, signingKey("2", 1), ""), storage.ErrConflict, "the newest is another")
				k.is(k.s.ExpireSigningKey(ctx, "jwt", "2", born), storage.ErrNotFound, "there is no such key")
				return k.s.CreateSigningKey(ctx, signingKey("2", 1), "1")
			}))
			if got := ids(k, "jwt"); len(got) != 2 {
				k.Errorf("got %q", got)
			}
		},
		"race_to_be_the_first: of processes that create a first key at the same time one does": func(k *kit) {
			k.oneWins(race(func(i int) error {
				return k.s.CreateSigningKey(k.ctx, signingKey(string(rune('A'+i)), i), "")
			}), storage.ErrConflict, "first keys")
			if got := ids(k, "jwt"); len(got) != 1 {
				k.Errorf("got %q", got)
			}
		},
	})
}
