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

// grown creates the families for familyLists, of alice, of bob and of another purpose. Client 1 has
// alice's families 1, 2 and 5, client 2 has 3 and 4, and 6 has no client.
func (k *kit) grown() (alice string, list map[int]storage.Family) {
	k.Helper()
	alice = k.add("alice").ID
	list = map[int]storage.Family{}
	for n, client := range map[int]string{1: "client 1", 2: "client 1", 3: "client 2", 4: "client 2", 5: "client 1", 6: ""} {
		f := family(alice, 0, n)
		f.Client = client
		k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
		list[n] = f
	}
	other := family(alice, 0, 7)
	other.Purpose = "other"
	k.must(k.s.CreateFamily(k.ctx, other, refresh(other, 0)))
	list[7] = other
	for n := range 9 {
		k.begin(k.add("bob"+fmt.Sprint(n)).ID, n)
	}
	return alice, list
}

func familyLists(t *testing.T, s *suite) {
	s.rules(t, withClients(map[string]func(*kit){
		"of_a_client: lists of a client show its live families, the last created first, without the first ones that are skipped": func(k *kit) {
			alice, all := k.grown()
			for _, ask := range []struct {
				purpose, client string
				skip, limit     int
				want            []int
			}{
				{"jwt", "client 1", 0, 10, []int{5, 2, 1}}, {"jwt", "client 1", 0, 2, []int{5, 2}}, {"jwt", "client 1", 1, 1, []int{2}}, {"jwt", "client 1", 2, 10, []int{1}},
				{"jwt", "client 1", 3, 10, nil}, {"jwt", "client 1", 100, 10, nil}, {"jwt", "client 1", -1, 10, []int{5, 2, 1}}, {"jwt", "client 1", 0, 0, nil}, {"jwt", "client 1", 0, -1, nil},
				{"jwt", "client 2", 0, 10, []int{4, 3}}, {"jwt", "", 0, 10, []int{6}}, {"jwt", "client", 0, 10, nil}, {"other", "client 1", 0, 10, []int{7}}, {"jwt", "a\x00", 0, 10, nil},
			} {
				list, err := k.s.ListFamiliesOf(k.ctx, ask.purpose, alice, ask.client, ask.skip, ask.limit)
				k.must(err)
				var want []storage.Family
				for _, n := range ask.want {
					want = append(want, all[n])
				}
				if !slices.EqualFunc(list, want, func(a, b storage.Family) bool { return reflect.DeepEqual(a, b) }) {
					k.Errorf("%+v: got %+v", ask, list)
				}
			}
			k.must(k.s.EndFamily(k.ctx, all[5].ID, born))
			if list, err := k.s.ListFamiliesOf(k.ctx, "jwt", alice, "client 1", 0, 10); err != nil || len(list) != 2 {
				k.Errorf("%d, %v: an ended family is not listed", len(list), err)
			}
			_, err := k.s.BumpEpoch(k.ctx, alice)
			k.must(err)
			if list, err := k.s.ListFamiliesOf(k.ctx, "jwt", alice, "client 1", 0, 10); err != nil || len(list) != 0 {
				k.Errorf("%d, %v: those of a past epoch are not listed", len(list), err)
			}
			for _, bad := range []string{"nobody", "", "a\x00", "\xff", strings.Repeat("x", 300)} {
				for _, ask := range [][2]string{{bad, "x"}, {"x", bad}} {
					if list, err := k.s.ListFamiliesOf(k.ctx, ask[0], ask[1], "", 0, 10); err != nil || len(list) != 0 {
						k.Errorf("families of %q: %v, %v", ask, list, err)
					}
				}
			}
		},
		"by_id: FamilyByID returns a live family of the subject and purpose, expired or not, and ErrNotFound for every other": func(k *kit) {
			alice, all := k.grown()
			if f, err := k.s.FamilyByID(k.ctx, "jwt", alice, all[2].ID); err != nil || !reflect.DeepEqual(f, all[2]) {
				k.Errorf("got %+v, %v", f, err)
			}
			expired := family(alice, 0, 8)
			expired.Expires = born.Add(-time.Hour)
			k.must(k.s.CreateFamily(k.ctx, expired, refresh(expired, 0)))
			if f, err := k.s.FamilyByID(k.ctx, "jwt", alice, expired.ID); err != nil || !reflect.DeepEqual(f, expired) {
				k.Errorf("got %+v, %v: the caller checks expiry", f, err)
			}
			absent := func(why, purpose, subject, id string) {
				k.Helper()
				f, err := k.s.FamilyByID(k.ctx, purpose, subject, id)
				if k.is(err, storage.ErrNotFound, why); !reflect.DeepEqual(f, storage.Family{}) {
					k.Errorf("%s, and got %+v", why, f)
				}
			}
			absent("another subject", "jwt", k.add("carol").ID, all[2].ID)
			absent("another purpose", "jwt", alice, all[7].ID)
			for _, bad := range []string{"nobody", "", "a\x00", "\xff", strings.Repeat("x", 300)} {
				absent("no such purpose", bad, alice, all[2].ID)
				absent("no such subject", "jwt", bad, all[2].ID)
				absent("no such ID", "jwt", alice, bad)
			}
			k.must(k.s.EndFamily(k.ctx, all[2].ID, born))
			absent("it has ended", "jwt", alice, all[2].ID)
			_, err := k.s.BumpEpoch(k.ctx, alice)
			k.must(err)
			absent("its epoch is past", "jwt", alice, all[3].ID)
		},
		"count: CountFamilies counts live families, and names the client with most of them, of several the one with the oldest": func(k *kit) {
			alice, all := k.grown()
			is := func(purpose string, total int, client string, most int) {
				k.Helper()
				if n, err := k.s.CountFamilies(k.ctx, purpose, alice); err != nil || n != (storage.FamilyCount{Total: total, Client: client, Most: most}) {
					k.Errorf("got %+v, %v", n, err)
				}
			}
			is("jwt", 6, "client 1", 3)
			is("other", 1, "client 1", 1)
			is("none", 0, "", 0)
			k.must(k.s.EndFamily(k.ctx, all[1].ID, born))
			is("jwt", 5, "client 1", 2) // client 2 has as many, but client 1 has the oldest
			k.must(k.s.EndFamily(k.ctx, all[2].ID, born))
			is("jwt", 4, "client 2", 2)
			for _, n := range []int{3, 4} {
				k.must(k.s.EndFamily(k.ctx, all[n].ID, born))
			}
			is("jwt", 2, "client 1", 1)
			k.must(k.s.EndFamily(k.ctx, all[5].ID, born))
			is("jwt", 1, "", 1)
			_, err := k.s.BumpEpoch(k.ctx, alice)
			k.must(err)
			is("jwt", 0, "", 0)
			for _, bad := range []string{"nobody", "", "a\x00", "\xff", strings.Repeat("x", 300)} {
				for _, ask := range [][2]string{{bad, alice}, {"jwt", bad}} {
					if n, err := k.s.CountFamilies(k.ctx, ask[0], ask[1]); err != nil || n != (storage.FamilyCount{}) {
						k.Errorf("families of %q: %+v, %v", ask, n, err)
					}
				}
			}
		},
		"lists_are_copies: what lists and FamilyByID return is not shared": func(k *kit) {
			f, _ := k.begin(k.add("alice").ID, 1)
			for range 2 {
				list, err := k.s.ListFamiliesOf(k.ctx, "jwt", f.Subject, f.Client, 0, 1)
				k.must(err)
				one, err := k.s.FamilyByID(k.ctx, "jwt", f.Subject, f.ID)
				k.must(err)
				for _, got := range []storage.Family{list[0], one} {
					if !reflect.DeepEqual(got, f) {
						k.Errorf("a caller changed what is stored: %+v", got)
					}
					got.Scopes[0], got.Resource[0], got.Data[0] = "changed", "changed", 9
				}
			}
		},
	}, "client 1", "client 2"))
}
