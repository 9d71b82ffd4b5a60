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

// family returns a family. n is its number among those of a subject, and their order.
func family(subject string, epoch int64, n int) storage.Family {
	return storage.Family{
		ID: fmt.Sprintf("family-%s-%04d", subject, n), Purpose: "jwt", Subject: subject, Client: "client 1", Scopes: []string{"read", "write"},
		Resource: []string{"https://api.example.com/?a=b"}, Confirm: "thumbprint", Name: "phone", Epoch: epoch,
		AuthTime: born.Add(-time.Hour), ACR: "2", AMR: []string{"pwd", "hwk"}, Created: born.Add(time.Duration(n) * time.Second), Expires: born.Add(30 * 24 * time.Hour), Data: []byte{0, 1, 0xff},
	}
}

// refresh returns the nth refresh token of a family.
func refresh(f storage.Family, n int) storage.Refresh {
	return storage.Refresh{Digest: storage.DigestOf(fmt.Sprintf("refresh %s %d", f.ID, n)), Family: f.ID, Created: born.Add(time.Duration(n) * storage.ExchangeEvery), Expires: born.Add(time.Hour)}
}

// begin creates a family of an existing account, with its first token.
func (k *kit) begin(subject string, n int) (storage.Family, storage.Refresh) {
	k.Helper()
	f := family(subject, k.epoch(subject), n)
	k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
	return f, refresh(f, 0)
}

// claim returns the claim that exchanges the nth token of a family for the next one.
func claim(f storage.Family, n int) storage.RefreshClaim {
	return storage.RefreshClaim{Digest: refresh(f, n).Digest, Next: refresh(f, n+1), Sealed: []byte{byte(n), 0, 0xff}, Window: 30 * time.Second}
}

// refreshed reads the nth token of a family.
func (k *kit) refreshed(f storage.Family, n int) storage.RefreshState {
	k.Helper()
	st, err := k.s.RefreshByDigest(k.ctx, refresh(f, n).Digest)
	k.must(err)
	return st
}

// familiesLeft returns the IDs that ListFamilies returns for the subject.
func (k *kit) familiesLeft(subject string) (ids []string) {
	k.Helper()
	list, err := k.s.ListFamilies(k.ctx, "jwt", subject, storage.FamilyPlace{}, 1000)
	k.must(err)
	for _, f := range list {
		ids = append(ids, f.ID)
	}
	return ids
}

func families(t *testing.T, s *suite) {
	s.rules(t, withClients(map[string]func(*kit){
		"round_trip: a family and its first token come back as they were stored, with the account": func(k *kit) {
			u := k.add("alice")
			f, first := k.begin(u.ID, 1)
			st := k.refreshed(f, 0)
			if !reflect.DeepEqual(st.Refresh, first) || !reflect.DeepEqual(st.Family, f) || !reflect.DeepEqual(st.User, u) || st.SuccessorClaimed {
				k.Errorf("got %+v", st)
			}
			if far := time.Since(st.Now).Abs(); far > time.Minute || st.Now.Location() != time.UTC {
				k.Errorf("the store's clock is %v", st.Now)
			}
			list, err := k.s.ListFamilies(k.ctx, "jwt", u.ID, storage.FamilyPlace{}, 10)
			k.must(err)
			if len(list) != 1 || !reflect.DeepEqual(list[0], f) {
				k.Errorf("listed %+v", list)
			}
		},
		"only_three_fields_of_the_first_token_are_used: a new token is unclaimed, whatever the caller wrote into it": func(k *kit) {
			f := family(k.add("alice").ID, 0, 1)
			first := refresh(f, 0)
			first.Family, first.Claimed, first.Sealed, first.SealedUntil = "other", born, []byte("x"), born
			f.Ended = true
			k.must(k.s.CreateFamily(k.ctx, f, first))
			if st := k.refreshed(f, 0); !reflect.DeepEqual(st.Refresh, refresh(f, 0)) || st.Family.Ended {
				k.Errorf("got %+v", st)
			}
		},
		"scopes_nil_or_none: nil scopes stay nil and an empty list stays empty": func(k *kit) {
			u := k.add("alice")
			for i, list := range [][]string{nil, {}, {"a"}, {"a", "b"}} {
				f := family(u.ID, 0, i)
				f.Scopes, f.Resource, f.Data, f.Client, f.Confirm, f.Name = list, list, nil, "", "", ""
				k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
				st := k.refreshed(f, 0)
				if !reflect.DeepEqual(st.Family.Scopes, list) || len(st.Family.Resource) != len(list) || len(st.Family.Data) != 0 {
					k.Errorf("%#v came back as %#v, %#v: nil scopes do not limit, empty ones allow nothing", list, st.Family.Scopes, st.Family.Resource)
				}
			}
		},
		"times_are_utc: times come back in UTC, to the microsecond": func(k *kit) {
			zone := time.FixedZone("", 5*3600)
			f := family(k.add("alice").ID, 0, 1)
			f.Created, f.Expires, f.AuthTime = f.Created.In(zone), f.Expires.In(zone), time.Time{}
			first := refresh(f, 0)
			first.Created, first.Expires = born.In(zone), time.Time{}
			k.must(k.s.CreateFamily(k.ctx, f, first))
			st := k.refreshed(f, 0)
			for _, pair := range [][2]time.Time{{st.Family.Created, f.Created}, {st.Family.Expires, f.Expires}, {st.Family.AuthTime, f.AuthTime}, {st.Refresh.Created, born}, {st.Refresh.Expires, time.Time{}}} {
				if !pair[0].Equal(pair[1]) || pair[0].Location() != time.UTC {
					k.Errorf("%v came back as %v: times are UTC, to the microsecond", pair[1], pair[0])
				}
			}
		},
		"absent: what is absent or malformed gets ErrNotFound or an empty list": func(k *kit) {
			_, err := k.s.RefreshByDigest(k.ctx, storage.DigestOf("x"))
			k.is(err, storage.ErrNotFound, "there is no such token")
			_, err = k.s.RefreshByDigest(k.ctx, storage.Digest{})
			k.is(err, storage.ErrNotFound, "no token has the zero digest")
			for _, bad := range []string{"nobody", "", "a\x00", "\xff", strings.Repeat("x", 300)} {
				k.is(k.s.EndFamily(k.ctx, bad, born), storage.ErrNotFound, "a malformed id counts as absent")
				for _, ask := range [][2]string{{bad, "x"}, {"x", bad}} {
					if list, err := k.s.ListFamilies(k.ctx, ask[0], ask[1], storage.FamilyPlace{}, 10); err != nil || len(list) != 0 {
						k.Errorf("families of %q: %v, %v", ask, list, err)
					}
				}
			}
		},
		"invalid: a family that cannot be kept is refused with ErrInvalid, and nothing changes": func(k *kit) {
			u := k.add("alice")
			for what, change := range map[string]func(*storage.Family){
				"no id": func(f *storage.Family) { f.ID = "" }, "id": func(f *storage.Family) { f.ID = "\x00" }, "purpose": func(f *storage.Family) { f.Purpose = "" },
				"subject": func(f *storage.Family) { f.Subject = "\xff" }, "client": func(f *storage.Family) { f.Client = "a\x00" }, "confirm": func(f *storage.Family) { f.Confirm = "\xff" },
				"name": func(f *storage.Family) { f.Name = strings.Repeat("x", 256) }, "scope": func(f *storage.Family) { f.Scopes = []string{"a b"} },
				"resource": func(f *storage.Family) { f.Resource = []string{""} }, "data": func(f *storage.Family) { f.Data = make([]byte, storage.MaxDataBytes+1) },
			} {
				f := family(u.ID, 0, 1)
				change(&f)
				k.is(k.s.CreateFamily(k.ctx, f, refresh(f, 0)), storage.ErrInvalid, what)
			}
			if left := k.familiesLeft(u.ID); len(left) != 0 {
				k.Errorf("a refused family is there: %q", left)
			}
			f := family(u.ID, 0, 1)
			f.Data = make([]byte, storage.MaxDataBytes)
			k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
		},
		"stale: a family of a subject that is absent, disabled or of another epoch gets ErrStale": func(k *kit) {
			u := k.add("alice")
			create := func(f storage.Family) error { return k.s.CreateFamily(k.ctx, f, refresh(f, 0)) }
			k.is(create(family("nobody", 0, 1)), storage.ErrStale, "there is no such subject")
			k.is(create(family(u.ID, 5, 1)), storage.ErrStale, "the epoch is another")
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			f := family(u.ID, k.epoch(u.ID), 1)
			k.is(create(f), storage.ErrStale, "the subject is disabled")
			_, err := k.s.RefreshByDigest(k.ctx, refresh(f, 0).Digest)
			k.is(err, storage.ErrNotFound, "nothing was written")
			k.must(k.s.SetActive(k.ctx, u.ID, true))
			k.must(create(f))
		},
		"taken: an ID and a digest are taken once; ErrConflict changes nothing": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			f, first := k.begin(u.ID, 1)
			other := family(bob.ID, 0, 2)
			k.is(k.s.CreateFamily(k.ctx, other, first), storage.ErrConflict, "the digest is taken")
			same := family(bob.ID, 0, 3)
			same.ID = f.ID
			unused := storage.Refresh{Digest: storage.DigestOf("unused"), Created: born, Expires: born}
			k.is(k.s.CreateFamily(k.ctx, same, unused), storage.ErrConflict, "the id is taken")
			_, err := k.s.RefreshByDigest(k.ctx, unused.Digest)
			k.is(err, storage.ErrNotFound, "nothing was written")
			if st := k.refreshed(f, 0); !reflect.DeepEqual(st.Family, f) || len(k.familiesLeft(bob.ID)) != 0 {
				k.Errorf("a refused family changed something: %+v", st.Family)
			}
		},
		"list: lists show live families of the purpose, the last created first, then by the bytes of the ID": func(k *kit) {
			u := k.add("alice")
			for _, n := range []int{2, 3, 1} {
				k.begin(u.ID, n)
			}
			for _, id := range []string{"z", "B", "ä"} {
				f := family(u.ID, 0, 9)
				f.ID, f.Expires = id, born.Add(-time.Hour) // expired families are included
				k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
			}
			f := family(u.ID, 0, 10)
			f.Purpose = "other"
			k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
			k.begin(k.add("bob").ID, 1)
			want := []string{"B", "z", "ä", "family-id-alice-0003", "family-id-alice-0002", "family-id-alice-0001"}
			if got := k.familiesLeft(u.ID); !slices.Equal(got, want) {
				k.Errorf("got %q, want %q: the last created first, then by the bytes of the ID", got, want)
			}
			for limit, n := range map[int]int{-1: 0, 0: 0, 2: 2, 100: 6} {
				if list, err := k.s.ListFamilies(k.ctx, "jwt", u.ID, storage.FamilyPlace{}, limit); err != nil || len(list) != n {
					k.Errorf("up to %d: %d, %v", limit, len(list), err)
				}
			}
			for size := 1; size <= len(want); size++ { // page by page
				var got []string
				var after storage.FamilyPlace
				for range len(want) {
					list, err := k.s.ListFamilies(k.ctx, "jwt", u.ID, after, size)
					k.must(err)
					for _, f := range list {
						got, after = append(got, f.ID), f.Place()
					}
				}
				if !slices.Equal(got, want) {
					k.Errorf("by %d: got %q, want %q", size, got, want)
				}
			}
			for after, first := range map[storage.FamilyPlace]string{{Created: born.AddDate(1, 0, 0), ID: "A"}: want[0], {Created: born.AddDate(-1, 0, 0), ID: "A"}: ""} {
				list, err := k.s.ListFamilies(k.ctx, "jwt", u.ID, after, 1)
				if err != nil || first == "" && len(list) > 0 || first != "" && (len(list) == 0 || list[0].ID != first) {
					k.Errorf("after %+v: %+v, %v", after, list, err)
				}
			}
			after := storage.FamilyPlace{}
			if list, err := k.s.ListFamilies(k.ctx, "jwt", u.ID, after, 1); err != nil || len(list) == 0 {
				k.Errorf("%+v, %v", list, err)
			} else {
				after = list[0].Place()
			}
			k.must(k.s.EndFamily(k.ctx, "B", born))
			if list, err := k.s.ListFamilies(k.ctx, "jwt", u.ID, after, 1); err != nil || len(list) != 1 || list[0].ID != want[1] {
				k.Errorf("after a family that has ended: %+v, %v", list, err)
			}
			if got := k.familiesLeft(u.ID); !slices.Equal(got, want[1:]) {
				k.Errorf("got %q: an ended family is not listed", got)
			}
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.begin(u.ID, 20)
			if got := k.familiesLeft(u.ID); !slices.Equal(got, []string{"family-id-alice-0020"}) {
				k.Errorf("got %q: those of a past epoch are not listed", got)
			}
		},
		"what_is_kept_is_a_copy: lists and data are not shared with the caller": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			f.Scopes[0], f.Resource[0], f.Data[0] = "changed", "changed", 9
			c := claim(f, 0)
			k.must(k.s.ClaimRefresh(k.ctx, c))
			c.Sealed[0] = 9
			for range 2 {
				st := k.refreshed(f, 0)
				list, err := k.s.ListFamilies(k.ctx, "jwt", f.Subject, storage.FamilyPlace{}, 1)
				k.must(err)
				if st.Refresh.Sealed[0] != 0 {
					k.Error("a caller changed what is sealed")
				}
				st.Refresh.Sealed[0] = 9
				for _, got := range []storage.Family{st.Family, list[0]} {
					if got.Scopes[0] != "read" || got.Resource[0] == "changed" || got.Data[0] != 0 {
						k.Error("a caller changed what is stored")
					}
					got.Scopes[0], got.Resource[0], got.Data[0] = "changed", "changed", 9
				}
			}
		},
		"forgotten_or_kept: deleting or forgetting the subject deletes families with their tokens; a new password keeps them for reuse detection": func(k *kit) {
			k.owns(Accounts, Subjects)
			for name, end := range map[string]func(id string) error{
				"forget": func(id string) error { return k.s.DeleteSubject(k.ctx, id) }, "delete": func(id string) error { return k.s.DeleteUser(k.ctx, id) },
			} {
				u, other := k.add(name), k.add("other "+name)
				f, _ := k.begin(u.ID, 1)
				kept, _ := k.begin(other.ID, 1)
				k.must(k.s.ClaimRefresh(k.ctx, claim(f, 0)))
				k.must(end(u.ID))
				for n := range 2 {
					_, err := k.s.RefreshByDigest(k.ctx, refresh(f, n).Digest)
					k.is(err, storage.ErrNotFound, name+" deletes families with their tokens")
					k.is(k.s.ClaimRefresh(k.ctx, claim(f, n)), storage.ErrNotFound, name+" deletes families with their tokens")
				}
				k.is(k.s.EndFamily(k.ctx, f.ID, born), storage.ErrNotFound, name+" deletes families")
				k.refreshed(kept, 0)
			}
			u := k.add("carol")
			f, _ := k.begin(u.ID, 1)
			k.must(k.s.SetPassword(k.ctx, u.ID, "x"))
			if st := k.refreshed(f, 0); st.Family.Epoch == st.User.Epoch {
				k.Error("a new password ends the family by its epoch; its tokens stay, so that their use is noticed")
			}
		},
	}, "client 1"))
}
