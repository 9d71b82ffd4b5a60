package storagetest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func codes(t *testing.T, open func(*testing.T) Store) {
	rules(t, open, withClients(map[string]func(*kit){
		"round_trip": func(k *kit) {
			u := k.add("alice")
			want := storage.Code{
				Digest: storage.DigestOf("c"), Client: "c", Subject: u.ID, RedirectURI: "https://a.example/cb?x=%20", Scopes: []string{"b", "a"}, Resource: []string{"https://api.example"},
				Challenge: "challenge", Nonce: "n", Confirm: "k", Session: "s", AuthTime: born.Add(-time.Hour), Created: born, Expires: born.Add(time.Minute), Kept: born.Add(time.Hour),
			}
			given := want
			given.Created, given.Kept, given.Used, given.Family = born.In(time.FixedZone("", 60)), want.Kept.In(time.FixedZone("", 60)), true, "x"
			k.must(k.s.CreateCode(k.ctx, given))
			got, of, err := k.s.CodeByDigest(k.ctx, want.Digest)
			if err != nil || !reflect.DeepEqual(got, want) || of.ID != u.ID {
				k.Errorf("got %+v of %+v, %v: a new code is unused", got, of, err)
			}
			k.is(k.s.CreateCode(k.ctx, want), storage.ErrConflict, "the digest is taken")
			plain := code("c", u.ID, 1)
			k.must(k.s.CreateCode(k.ctx, plain))
			if got, _, err := k.s.CodeByDigest(k.ctx, plain.Digest); err != nil || got.Scopes != nil || got.Resource != nil || !got.AuthTime.IsZero() {
				k.Errorf("got %+v, %v", got, err)
			}
			_, _, err = k.s.CodeByDigest(k.ctx, storage.DigestOf("x"))
			k.is(err, storage.ErrNotFound, "there is none")
		},
		"used_once": func(k *kit) {
			u := k.add("alice")
			for n, family := range []string{"f", ""} { // burnt where nothing came of it
				c := code("c", u.ID, n)
				k.must(k.s.CreateCode(k.ctx, c))
				k.must(k.s.UseCode(k.ctx, c.Digest, family))
				k.is(k.s.UseCode(k.ctx, c.Digest, "other"), storage.ErrConflict, "used already")
				if got, _, err := k.s.CodeByDigest(k.ctx, c.Digest); err != nil || !got.Used || got.Family != family {
					k.Errorf("got %+v, %v", got, err)
				}
			}
			k.is(k.s.UseCode(k.ctx, storage.DigestOf("x"), "f"), storage.ErrNotFound, "there is none")
		},
		"refused": func(k *kit) {
			u := k.add("alice")
			for what, change := range map[string]func(*storage.Code){
				"no digest": func(c *storage.Code) { c.Digest = storage.Digest{} }, "no end": func(c *storage.Code) { c.Expires = time.Time{} },
				"not kept": func(c *storage.Code) { c.Kept = c.Expires.Add(-1) }, "client": func(c *storage.Code) { c.Client = "" }, "subject": func(c *storage.Code) { c.Subject = "" },
				"redirect": func(c *storage.Code) { c.RedirectURI = "a b" }, "scope": func(c *storage.Code) { c.Scopes = []string{"a b"} }, "nonce": func(c *storage.Code) { c.Nonce = "a\x00" }, "session": func(c *storage.Code) { c.Session = "a\x00" },
				"long redirect": func(c *storage.Code) { c.RedirectURI = strings.Repeat("a", storage.MaxScopes+1) },
			} {
				c := code("c", u.ID, 1)
				change(&c)
				k.is(k.s.CreateCode(k.ctx, c), storage.ErrInvalid, what)
			}
			old := code("c", u.ID, 1)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.is(k.s.CreateCode(k.ctx, old), storage.ErrStale, "the epoch is another by now")
			k.is(k.s.CreateCode(k.ctx, code("c", "nobody", 1)), storage.ErrStale, "there is no such account")
		},
		"prune": func(k *kit) {
			u := k.add("alice")
			for n, at := range []time.Duration{0, time.Microsecond} {
				c := code("c", u.ID, n)
				c.Expires, c.Kept = born.Add(-time.Minute), born.Add(at)
				k.must(k.s.CreateCode(k.ctx, c))
			}
			k.pruned(born, 10, 1)
			_, _, err := k.s.CodeByDigest(k.ctx, code("c", u.ID, 1).Digest)
			k.is(err, nil, "one that is still kept stays")
		},
		"with_the_account": func(k *kit) {
			for name, end := range map[string]func(id string) error{
				"deleted": func(id string) error { return k.s.DeleteUser(k.ctx, id) },
				"forgot":  func(id string) error { return k.s.ForgetSubject(k.ctx, id) },
			} {
				u := k.add(name)
				c := code("c", u.ID, 1)
				k.must(k.s.CreateCode(k.ctx, c))
				k.must(end(u.ID))
				k.is(k.s.UseCode(k.ctx, c.Digest, "f"), storage.ErrNotFound, name)
			}
		},
		"attack_154_one_uses_it": func(k *kit) {
			u := k.add("alice")
			c := code("c", u.ID, 1)
			k.must(k.s.CreateCode(k.ctx, c))
			won := 0
			for _, err := range race(func(int) error { return k.s.UseCode(k.ctx, c.Digest, "f") }) {
				if err == nil {
					won++
				} else if !errors.Is(err, storage.ErrConflict) {
					k.Error(err)
				}
			}
			if won != 1 {
				k.Errorf("%d used it", won)
			}
		},
	}, "c"))
}

func accessTokens(t *testing.T, open func(*testing.T) Store) {
	// of returns a token of alice's family, and one that the client got for itself.
	of := func(k *kit) (storage.User, storage.Family, storage.AccessToken, storage.AccessToken) {
		k.Helper()
		u := k.add("alice")
		k.must(k.s.CreateClient(k.ctx, client("c")))
		f := family(u.ID, 0, 1)
		f.Client = "c"
		k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
		mine, own := access("c", u.ID, f.ID, 1), access("c", "", "", 2)
		k.must(k.s.CreateAccess(k.ctx, mine))
		k.must(k.s.CreateAccess(k.ctx, own))
		return u, f, mine, own
	}
	state := func(k *kit, t storage.AccessToken) string {
		k.Helper()
		st, err := k.s.AccessByDigest(k.ctx, t.Digest)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return "absent"
		case err != nil:
			k.Fatal(err)
		case st.Ended:
			return "ended"
		case st.User.Epoch != st.Access.Epoch || t.Subject != "" && !st.User.Active:
			return "stale"
		}
		return "live"
	}
	rules(t, open, map[string]func(*kit){
		"round_trip": func(k *kit) {
			u, f, _, own := of(k)
			want := access("c", u.ID, f.ID, 3)
			want.Scopes, want.Resource, want.Confirm, want.AuthTime = []string{"b", "a"}, []string{"https://api.example"}, "k", born.Add(-time.Hour)
			given := want
			given.Created, given.Expires = born.In(time.FixedZone("", 60)), want.Expires.In(time.FixedZone("", 60))
			k.must(k.s.CreateAccess(k.ctx, given))
			if st, err := k.s.AccessByDigest(k.ctx, want.Digest); err != nil || !reflect.DeepEqual(st.Access, want) || st.User.ID != u.ID || st.Ended {
				k.Errorf("got %+v, %v", st, err)
			}
			if st, err := k.s.AccessByDigest(k.ctx, own.Digest); err != nil || !reflect.DeepEqual(st.Access, own) || st.User.ID != "" || st.Ended {
				k.Errorf("a client's own: %+v, %v", st, err)
			}
			taken := want
			taken.Digest = storage.DigestOf("x")
			k.is(k.s.CreateAccess(k.ctx, taken), storage.ErrConflict, "the ID is taken")
			taken = want
			taken.ID = "x"
			k.is(k.s.CreateAccess(k.ctx, taken), storage.ErrConflict, "the digest is taken")
		},
		"ends": func(k *kit) {
			u, f, mine, own := of(k)
			k.must(k.s.DropAccess(k.ctx, own.Digest))
			k.is(k.s.DropAccess(k.ctx, own.Digest), storage.ErrNotFound, "dropped already")
			if state(k, own) != "absent" || state(k, mine) != "live" {
				k.Error("the one goes, the other stays")
			}
			k.must(k.s.EndFamily(k.ctx, f.ID, born.Add(time.Hour)))
			if got := state(k, mine); got != "ended" {
				k.Errorf("after its family: %s", got)
			}
			k.is(k.s.CreateAccess(k.ctx, access("c", u.ID, f.ID, 9)), storage.ErrStale, "its family has ended")
		},
		"family_gone": func(k *kit) {
			u := k.add("alice")
			k.must(k.s.CreateClient(k.ctx, client("c")))
			f := family(u.ID, 0, 1)
			f.Client, f.Expires = "c", born.Add(time.Hour)
			k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
			t := access("c", u.ID, f.ID, 1)
			t.Expires = born.Add(2 * time.Hour)
			k.must(k.s.CreateAccess(k.ctx, t))
			k.pruned(f.Expires, 10, 1)
			if got := state(k, t); got != "ended" {
				k.Errorf("after its family was pruned: %s", got)
			}
		},
		"client_disabled": func(k *kit) {
			_, _, mine, own := of(k)
			c := client("c")
			c.Disabled = true
			k.must(k.s.UpdateClient(k.ctx, c))
			if a, b := state(k, mine), state(k, own); a != "ended" || b != "ended" {
				k.Errorf("%s, %s", a, b)
			}
			k.is(k.s.CreateAccess(k.ctx, access("c", "", "", 9)), storage.ErrStale, "the client is disabled")
			k.is(k.s.CreateAccess(k.ctx, access("none", "", "", 9)), storage.ErrStale, "there is no such client")
		},
		"with_the_account": func(k *kit) {
			u, f, mine, own := of(k)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			if got := state(k, mine); got != "stale" {
				k.Errorf("after the epoch: %s", got)
			}
			k.is(k.s.CreateAccess(k.ctx, access("c", u.ID, f.ID, 9)), storage.ErrStale, "the epoch is another by now")
			k.must(k.s.DeleteUser(k.ctx, u.ID))
			if a, b := state(k, mine), state(k, own); a != "absent" || b != "live" {
				k.Errorf("after the account: %s, %s", a, b)
			}
		},
		"refused": func(k *kit) {
			u, f, _, _ := of(k)
			for what, change := range map[string]func(*storage.AccessToken){
				"no digest": func(t *storage.AccessToken) { t.Digest = storage.Digest{} }, "no end": func(t *storage.AccessToken) { t.Expires = time.Time{} },
				"id": func(t *storage.AccessToken) { t.ID = "" }, "client": func(t *storage.AccessToken) { t.Client = "a\x00" }, "no family": func(t *storage.AccessToken) { t.Family = "" },
				"no subject": func(t *storage.AccessToken) { t.Subject = "" }, "scope": func(t *storage.AccessToken) { t.Scopes = []string{""} },
			} {
				t := access("c", u.ID, f.ID, 9)
				change(&t)
				k.is(k.s.CreateAccess(k.ctx, t), storage.ErrInvalid, what)
			}
			k.is(k.s.CreateAccess(k.ctx, access("c", u.ID, "nothing", 9)), storage.ErrStale, "there is no such family")
		},
		"prune": func(k *kit) {
			k.must(k.s.CreateClient(k.ctx, client("c")))
			for n, at := range []time.Duration{0, time.Microsecond} {
				t := access("c", "", "", n)
				t.Expires = born.Add(at)
				k.must(k.s.CreateAccess(k.ctx, t))
			}
			k.pruned(born, 10, 1)
			if state(k, access("c", "", "", 0)) != "absent" || state(k, access("c", "", "", 1)) != "live" {
				k.Error("what has expired goes")
			}
		},
		"signed": func(k *kit) {
			u, f, _, _ := of(k)
			jti := storage.BlockKeyOf(storage.BlockJTI, "i", "1")
			standing := func(client, family, subject string) string {
				k.Helper()
				of, st, err := k.s.SignedAccess(k.ctx, client, family, subject, storage.BlockKeys{JTI: jti})
				switch {
				case errors.Is(err, storage.ErrNotFound):
					return "absent"
				case err != nil:
					k.Fatal(err)
				case st.Blocked:
					return "blocked"
				case of.ID != subject || st.Epoch != k.epoch(subject) || of.Epoch != st.Epoch:
					return "another account or epoch"
				}
				return "live"
			}
			for _, c := range []struct{ client, family, subject, want string }{
				{"c", f.ID, u.ID, "live"}, {"c", "", "", "live"}, {"x", f.ID, u.ID, "blocked"}, {"x", "", "", "blocked"}, {"", "", "", "blocked"}, {"c", "x", u.ID, "blocked"},
				{"c", f.ID, "nobody", "absent"}, {"c", f.ID, "a\x00", "absent"}, {"c\x00", "", "", "blocked"},
			} {
				if got := standing(c.client, c.family, c.subject); got != c.want {
					k.Errorf("%q, %q, %q: %s, want %s", c.client, c.family, c.subject, got, c.want)
				}
			}
			if _, err := k.s.BumpEpoch(k.ctx, u.ID); err != nil || standing("c", f.ID, u.ID) != "live" {
				k.Error("the present epoch is told")
			}
			k.must(k.s.EndFamily(k.ctx, f.ID, born.Add(time.Hour)))
			if a, b := standing("c", f.ID, u.ID), standing("c", "", ""); a != "blocked" || b != "live" {
				k.Errorf("after the end of the family: %s, %s", a, b)
			}
			k.must(k.s.Block(k.ctx, born.Add(time.Hour), jti))
			if got := standing("c", "", ""); got != "blocked" {
				k.Errorf("a blocked token: %s", got)
			}
			jti = storage.BlockKey{}
			c := client("c")
			c.Disabled = true
			k.must(k.s.UpdateClient(k.ctx, c))
			if got := standing("c", "", ""); got != "blocked" {
				k.Errorf("a disabled client: %s", got)
			}
		},
		"no_token_after_the_end": func(k *kit) {
			u, f, _, _ := of(k)
			race(func(i int) error {
				if i == together/2 {
					return k.s.EndFamily(k.ctx, f.ID, born.Add(time.Hour))
				}
				return k.s.CreateAccess(k.ctx, access("c", u.ID, f.ID, 100+i))
			})
			for i := range together {
				if got := state(k, access("c", u.ID, f.ID, 100+i)); got == "live" {
					k.Fatalf("a token lives on after its family")
				}
			}
		},
		"client_deleted_beside": func(k *kit) {
			u, f, _, _ := of(k)
			for i, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.DeleteClient(k.ctx, "c")
				}
				return k.s.CreateAccess(k.ctx, access("c", u.ID, f.ID, 100+i))
			}) {
				if err != nil && (i == together/2 || !errors.Is(err, storage.ErrStale)) {
					k.Errorf("%d: %v", i, err)
				}
			}
			k.must(k.s.CreateClient(k.ctx, client("c")))
			for i := range together {
				if got := state(k, access("c", u.ID, f.ID, 100+i)); got == "live" {
					k.Fatalf("a token lives on after its client")
				}
			}
		},
	})
}
