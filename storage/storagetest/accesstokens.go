package storagetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func accessTokens(t *testing.T, s *suite) {
	// of returns a token of alice's family, and a token that the client got for itself.
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
	s.rules(t, map[string]func(*kit){
		"round_trip: a token comes back as it was stored, with the account of its subject if it has one": func(k *kit) {
			k.needs(Clients, Families)
			u, f, _, own := of(k)
			want := access("c", u.ID, f.ID, 3)
			want.Scopes, want.Resource, want.Confirm, want.AuthTime = []string{"b", "a"}, []string{"https://api.example"}, "k", born.Add(-time.Hour)
			want.Actors = []string{"c", "https://earlier.example/a b"}
			want.ACR, want.AMR = "2", []string{"pwd", "otp"}
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
		"ends: DeleteAccess deletes one token; ending the family ends its tokens and allows no new ones": func(k *kit) {
			k.needs(Clients, Families)
			u, f, mine, own := of(k)
			k.must(k.s.DeleteAccess(k.ctx, own.Digest))
			k.is(k.s.DeleteAccess(k.ctx, own.Digest), storage.ErrNotFound, "dropped already")
			if state(k, own) != "absent" || state(k, mine) != "live" {
				k.Error("the one goes, the other stays")
			}
			k.must(k.s.EndFamily(k.ctx, f.ID, born.Add(time.Hour)))
			if got := state(k, mine); got != "ended" {
				k.Errorf("after its family: %s", got)
			}
			k.is(k.s.CreateAccess(k.ctx, access("c", u.ID, f.ID, 9)), storage.ErrStale, "its family has ended")
		},
		"family_gone: a token whose family was pruned has ended": func(k *kit) {
			k.needs(Clients)
			k.owns(Families, Pruner)
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
		"client_disabled: disabling the client ends its tokens and allows no new ones": func(k *kit) {
			k.needs(Clients, Families)
			_, _, mine, own := of(k)
			c := client("c")
			c.Disabled = true
			k.must(k.s.UpdateClient(k.ctx, c))
			if a, b := state(k, mine), state(k, own); a == "live" || b == "live" {
				k.Errorf("%s, %s", a, b)
			}
			k.is(k.s.CreateAccess(k.ctx, access("c", "", "", 9)), storage.ErrStale, "the client is disabled")
			k.is(k.s.CreateAccess(k.ctx, access("none", "", "", 9)), storage.ErrStale, "there is no such client")
		},
		"with_the_account: a token comes with the present epoch, and is absent once its account is deleted": func(k *kit) {
			k.needs(Clients, Families)
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
		"refused: a token that cannot be kept is refused with ErrInvalid": func(k *kit) {
			k.needs(Clients, Families)
			u, f, _, _ := of(k)
			for what, change := range map[string]func(*storage.AccessToken){
				"no digest": func(t *storage.AccessToken) { t.Digest = storage.Digest{} }, "no end": func(t *storage.AccessToken) { t.Expires = time.Time{} },
				"id": func(t *storage.AccessToken) { t.ID = "" }, "client": func(t *storage.AccessToken) { t.Client = "a\x00" }, "no family": func(t *storage.AccessToken) { t.Family = "" },
				"no subject": func(t *storage.AccessToken) { t.Subject = "" }, "scope": func(t *storage.AccessToken) { t.Scopes = []string{""} },
				"four actors": func(t *storage.AccessToken) { t.Actors = []string{"c", "d", "e", "f"} }, "actor without a name": func(t *storage.AccessToken) { t.Actors = []string{"c", ""} },
				"first actor is not the client": func(t *storage.AccessToken) { t.Actors = []string{"d"} }, "space in the thumbprint": func(t *storage.AccessToken) { t.Confirm = "k c" },
			} {
				t := access("c", u.ID, f.ID, 9)
				change(&t)
				k.is(k.s.CreateAccess(k.ctx, t), storage.ErrInvalid, what)
			}
			k.is(k.s.CreateAccess(k.ctx, access("c", u.ID, "nothing", 9)), storage.ErrStale, "there is no such family")
		},
		"prune: Prune deletes tokens that have expired and no others": func(k *kit) {
			k.needs(Clients, Pruner)
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
		"signed: SignedAccessStatus reports a blocked key, a disabled client, an ended family, the account with its epoch, and when a client was created": func(k *kit) {
			k.needs(Clients, Families, Blocklist)
			u, f, _, _ := of(k)
			jti := storage.BlockKeyOf(storage.BlockJTI, "i", "1")
			c := client("c")
			created := c.CreatedMicros()
			standing := func(client, family, subject string) string {
				k.Helper()
				of, st, err := k.s.SignedAccessStatus(k.ctx, client, family, subject, storage.BlockKeys{JTI: jti})
				want := created // expected for a client's own token
				if subject != "" {
					want = k.epoch(subject)
				}
				switch {
				case errors.Is(err, storage.ErrNotFound):
					return "absent"
				case err != nil:
					k.Fatal(err)
				case st.Blocked:
					return "blocked"
				case of.ID != subject || st.Epoch != want || subject != "" && of.Epoch != st.Epoch:
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
			c.Disabled = true
			k.must(k.s.UpdateClient(k.ctx, c))
			if got := standing("c", "", ""); got != "blocked" {
				k.Errorf("a disabled client: %s", got)
			}
			k.must(k.s.DeleteClient(k.ctx, "c"))
			c.Disabled, c.Created = false, c.Created.Add(time.Microsecond)
			k.must(k.s.CreateClient(k.ctx, c))
			if got := standing("c", "", ""); got != "another account or epoch" {
				k.Errorf("attack_314: a later client of the same ID: %s", got)
			}
		},
		"no_token_after_the_end: no token is live after its family has ended, whatever the order": func(k *kit) {
			k.needs(Clients, Families)
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
		"client_deleted_beside: no token is live of a client that is deleted at the same time": func(k *kit) {
			k.needs(Families)
			k.owns(Clients)
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
