package storagetest

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func codes(t *testing.T, s *suite) {
	s.rules(t, withClients(map[string]func(*kit){
		"round_trip: a new code is unused and comes back as it was stored": func(k *kit) {
			u := k.add("alice")
			want := storage.Code{
				Digest: storage.DigestOf("c"), Client: "c", Subject: u.ID, RedirectURI: "https://a.example/cb?x=%20", Scopes: []string{"b", "a"}, Resource: []string{"https://api.example"},
				Challenge: "challenge", Nonce: "n", Confirm: "k", Session: "s", AuthTime: born.Add(-time.Hour), ACR: "2", AMR: []string{"pwd"}, Created: born, Expires: born.Add(time.Minute), Kept: born.Add(time.Hour),
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
			if got, _, err := k.s.CodeByDigest(k.ctx, plain.Digest); err != nil || got.Scopes != nil || got.Resource != nil || got.ACR != "" || got.AMR != nil || !got.AuthTime.IsZero() {
				k.Errorf("got %+v, %v", got, err)
			}
			_, _, err = k.s.CodeByDigest(k.ctx, storage.DigestOf("x"))
			k.is(err, storage.ErrNotFound, "there is none")
		},
		"used_once: a code is used once, and what it was used for is recorded": func(k *kit) {
			u := k.add("alice")
			for n, family := range []string{"f", ""} { // "" if no family was created
				c := code("c", u.ID, n)
				k.must(k.s.CreateCode(k.ctx, c))
				k.must(k.s.ConsumeCode(k.ctx, c.Digest, family, time.Time{}))
				k.is(k.s.ConsumeCode(k.ctx, c.Digest, "other", time.Time{}), storage.ErrConflict, "used already")
				if got, _, err := k.s.CodeByDigest(k.ctx, c.Digest); err != nil || !got.Used || got.Family != family || !got.Kept.Equal(c.Kept) {
					k.Errorf("got %+v, %v", got, err)
				}
			}
			late := code("c", u.ID, 2)
			k.must(k.s.CreateCode(k.ctx, late))
			k.must(k.s.ConsumeCode(k.ctx, late.Digest, "f", late.Kept.Add(time.Hour)))
			if got, _, err := k.s.CodeByDigest(k.ctx, late.Digest); err != nil || !got.Kept.Equal(late.Kept.Add(time.Hour)) {
				k.Errorf("kept until %v, %v", got.Kept, err)
			}
			k.is(k.s.ConsumeCode(k.ctx, storage.DigestOf("x"), "f", time.Time{}), storage.ErrNotFound, "there is none")
		},
		"refused: a code that cannot be kept, or of a subject that changed, is refused": func(k *kit) {
			u := k.add("alice")
			for what, change := range map[string]func(*storage.Code){
				"no digest": func(c *storage.Code) { c.Digest = storage.Digest{} }, "no end": func(c *storage.Code) { c.Expires = time.Time{} },
				"not kept": func(c *storage.Code) { c.Kept = c.Expires.Add(-1) }, "client": func(c *storage.Code) { c.Client = "" }, "subject": func(c *storage.Code) { c.Subject = "" },
				"redirect": func(c *storage.Code) { c.RedirectURI = "a b" }, "scope": func(c *storage.Code) { c.Scopes = []string{"a b"} }, "nonce": func(c *storage.Code) { c.Nonce = "a\x00" }, "session": func(c *storage.Code) { c.Session = "a\x00" },
				"acr": func(c *storage.Code) { c.ACR = "a b" }, "amr": func(c *storage.Code) { c.AMR = []string{"pwd otp"} }, "empty amr": func(c *storage.Code) { c.AMR = []string{""} },
				"many amr":      func(c *storage.Code) { c.AMR = slices.Repeat([]string{"a"}, storage.MaxMethods+1) },
				"long redirect": func(c *storage.Code) { c.RedirectURI = strings.Repeat("a", storage.MaxScopesBytes+1) },
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
		"prune: Prune deletes codes once they need not be kept any longer": func(k *kit) {
			k.needs(Pruner)
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
		"with_the_account: deleting or forgetting the subject deletes its codes": func(k *kit) {
			k.owns(Accounts, Subjects)
			for name, end := range map[string]func(id string) error{
				"deleted": func(id string) error { return k.s.DeleteUser(k.ctx, id) },
				"forgot":  func(id string) error { return k.s.DeleteSubject(k.ctx, id) },
			} {
				u := k.add(name)
				c := code("c", u.ID, 1)
				k.must(k.s.CreateCode(k.ctx, c))
				k.must(end(u.ID))
				k.is(k.s.ConsumeCode(k.ctx, c.Digest, "f", time.Time{}), storage.ErrNotFound, name)
			}
		},
		"attack_154_one_uses_it: of concurrent uses one succeeds": func(k *kit) {
			u := k.add("alice")
			c := code("c", u.ID, 1)
			k.must(k.s.CreateCode(k.ctx, c))
			won := 0
			for _, err := range race(func(int) error { return k.s.ConsumeCode(k.ctx, c.Digest, "f", time.Time{}) }) {
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
