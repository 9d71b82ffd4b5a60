package storagetest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func credentialLimit(t *testing.T, s *suite) {
	limit := func(n int, evict bool) storage.CredentialLimit {
		return storage.CredentialLimit{Max: n, Evict: evict, Now: born.Add(time.Hour)}
	}
	s.rules(t, map[string]func(*kit){
		"refuse: at the limit a new credential gets ErrLimit, and nothing changes": func(k *kit) {
			u := k.add("alice")
			for n := range 3 {
				_, err := k.s.CreateCredential(k.ctx, credential(u.ID, 0, n), limit(3, false))
				k.must(err)
			}
			evicted, err := k.s.CreateCredential(k.ctx, credential(u.ID, 0, 3), limit(3, false))
			k.is(err, storage.ErrLimit, "there is no room")
			if left := k.credentialsLeft(u.ID); len(evicted) != 0 || len(left) != 3 || k.usableCredential(credential(u.ID, 0, 3).Digest) {
				k.Errorf("a refused token changed something: %q, %q", credentialIDs(evicted), left)
			}
			for what, taken := range map[string]func(*storage.Credential){
				"the digest": func(c *storage.Credential) { c.Digest = credential(u.ID, 0, 1).Digest },
				"the ID":     func(c *storage.Credential) { c.ID = credential(u.ID, 0, 1).ID },
			} {
				c := credential(u.ID, 0, 4)
				taken(&c)
				_, err := k.s.CreateCredential(k.ctx, c, limit(3, false))
				k.is(err, storage.ErrConflict, what+" is taken, and there is no room")
				c.Epoch++
				_, err = k.s.CreateCredential(k.ctx, c, limit(3, false))
				k.is(err, storage.ErrStale, what+" is taken, there is no room, and the epoch is another one")
			}
			bob := k.add("bob")
			if _, err = k.s.CreateCredential(k.ctx, credential(bob.ID, 0, 3), limit(1, false)); err != nil {
				k.Errorf("another subject has room: %v", err)
			}
			if _, err = k.s.CreateCredential(k.ctx, credential(u.ID, 0, 3), limit(0, false)); err != nil {
				k.Errorf("a limit of 0 is none: %v", err)
			}
		},
		"evict: with Evict the oldest credentials make room and are returned": func(k *kit) {
			u := k.add("alice")
			for _, n := range []int{2, 1, 3} {
				k.giveCredential(u.ID, n)
			}
			evicted, err := k.s.CreateCredential(k.ctx, credential(u.ID, 0, 4), limit(3, true))
			k.must(err)
			if len(evicted) != 1 || !reflect.DeepEqual(evicted[0], credential(u.ID, 0, 1)) {
				k.Errorf("evicted %+v: the oldest, whole", evicted)
			}
			_, _, err = k.s.CredentialByDigest(k.ctx, purpose, credential(u.ID, 0, 1).Digest)
			k.is(err, storage.ErrNotFound, "what was evicted is deleted")
			evicted, err = k.s.CreateCredential(k.ctx, credential(u.ID, 0, 5), limit(1, true))
			k.must(err)
			if got := credentialIDs(evicted); !slices.Equal(got, []string{"device-0002", "device-0003", "device-0004"}) {
				k.Errorf("evicted %q: a smaller limit takes several, the oldest first", got)
			}
			// The new credential stays, whatever its Created is.
			evicted, err = k.s.CreateCredential(k.ctx, credential(u.ID, 0, 0), limit(1, true))
			k.must(err)
			if left := k.credentialsLeft(u.ID); len(evicted) != 1 || !slices.Equal(left, []string{"device-0000"}) {
				k.Errorf("evicted %q, left %q", credentialIDs(evicted), left)
			}
		},
		"evict_one_of_equals: of credentials created at the same time, those whose ID's bytes come first are evicted": func(k *kit) {
			u := k.add("alice")
			for _, id := range []string{"b", "ä", "B", "c"} {
				t := credential(u.ID, 0, 1)
				t.ID, t.Digest = id, storage.DigestOf(id)
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				k.must(err)
			}
			evicted, err := k.s.CreateCredential(k.ctx, credential(u.ID, 0, 2), limit(3, true))
			k.must(err)
			if got := credentialIDs(evicted); !slices.Equal(got, []string{"B", "b"}) {
				k.Errorf("evicted %q: the oldest by Created, then by the bytes of the ID", got)
			}
		},
		"what_does_not_count: expired credentials and those of an earlier epoch do not count for the limit": func(k *kit) {
			u := k.add("alice")
			k.giveCredential(u.ID, 1)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			epoch := k.epoch(u.ID)
			for n, at := range map[int]time.Time{2: born, 3: born.Add(time.Hour), 4: {}, 5: born.Add(time.Hour + time.Microsecond)} {
				t := credential(u.ID, epoch, n)
				t.Expires = at
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				k.must(err)
			}
			// Credential 1 has another epoch; 2 and 3 have expired.
			if _, err := k.s.CreateCredential(k.ctx, credential(u.ID, epoch, 6), limit(3, false)); err != nil {
				k.Errorf("there is room: %v", err)
			}
			_, err = k.s.CreateCredential(k.ctx, credential(u.ID, epoch, 7), limit(3, false))
			k.is(err, storage.ErrLimit, "three count")
			evicted, err := k.s.CreateCredential(k.ctx, credential(u.ID, epoch, 7), limit(3, true))
			k.must(err)
			if got := credentialIDs(evicted); !slices.Equal(got, []string{"device-0004"}) {
				k.Errorf("evicted %q: only what counts", got)
			}
		},
		"in_a_transaction: an error that is an answer leaves nothing in the caller's transaction": func(k *kit) {
			k.needs(Transactor)
			u := k.add("alice")
			first := k.giveCredential(u.ID, 1)
			k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
				_, err := k.s.CreateCredential(ctx, credential(u.ID, 0, 2), limit(1, false))
				k.is(err, storage.ErrLimit, "there is no room")
				taken := credential(u.ID, 0, 2)
				taken.Digest = first.Digest
				_, err = k.s.CreateCredential(ctx, taken, limit(5, true))
				k.is(err, storage.ErrConflict, "the digest is taken")
				_, err = k.s.CreateCredential(ctx, credential(u.ID, 7, 2), limit(1, true))
				k.is(err, storage.ErrStale, "the epoch is another")
				k.is(k.s.DeleteCredential(ctx, purpose, u.ID, "other"), storage.ErrNotFound, "there is no such token")
				_, err = k.s.CreateCredential(ctx, credential(u.ID, 0, 2), limit(5, true))
				k.must(err)
				_, _, err = k.s.CredentialByDigest(ctx, purpose, credential(u.ID, 0, 2).Digest)
				return err
			}))
			if left := k.credentialsLeft(u.ID); len(left) != 2 {
				k.Errorf("%q are left: an answer changes nothing", left)
			}
		},
		"touch: a use moves LastUsed and Expires forward only, never beyond Max, and not once the credential has expired": func(k *kit) {
			u := k.add("alice")
			start := k.giveCredential(u.ID, 1)
			now := start.Created
			at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
			for _, step := range []struct {
				why                    string
				used, expires, before  time.Time
				touched                bool
				wantUsed, wantsExpires time.Time
			}{
				{"the first use", at(10), time.Time{}, at(5), true, at(10), start.Expires},
				{"used since", at(11), at(9999), at(9), false, at(10), start.Expires},
				{"used at that time", at(12), at(9999), at(10), true, at(12), at(9999)},
				{"never back", at(30), at(5000), at(20), true, at(30), at(9999)},
				{"zero leaves it", at(50), time.Time{}, at(40), true, at(50), at(9999)},
				{"not beyond Max", at(60), start.Max.Add(time.Second), at(55), true, at(60), start.Max},
				{"expired at the use", start.Max, start.Max.Add(time.Hour), start.Max, false, at(60), start.Max},
				{"a moment before", start.Max.Add(-time.Microsecond), time.Time{}, at(70), true, start.Max.Add(-time.Microsecond), start.Max},
			} {
				got, err := k.s.TouchCredential(k.ctx, purpose, start.Digest, step.used, step.expires, step.before)
				k.must(err)
				t, _, err := k.s.CredentialByDigest(k.ctx, purpose, start.Digest)
				k.must(err)
				if got != step.touched || !t.LastUsed.Equal(step.wantUsed) || !t.Expires.Equal(step.wantsExpires) {
					k.Errorf("%s: touched %t, last used %v, expires %v", step.why, got, t.LastUsed, t.Expires)
				}
				t.LastUsed, t.Expires = start.LastUsed, start.Expires
				if !reflect.DeepEqual(t, start) {
					k.Errorf("%s changed something else: %+v", step.why, t)
				}
			}
			if got, err := k.s.TouchCredential(k.ctx, purpose, storage.DigestOf("x"), at(1), at(2), at(3)); got || err != nil {
				k.Errorf("an absent token: %t, %v", got, err)
			}
			never := credential(u.ID, 0, 2)
			never.Expires, never.Max = time.Time{}, time.Time{}
			_, err := k.s.CreateCredential(k.ctx, never, anyNumber)
			k.must(err)
			got, err := k.s.TouchCredential(k.ctx, purpose, never.Digest, at(1), at(2), time.Time{})
			k.must(err)
			if t, _, err := k.s.CredentialByDigest(k.ctx, purpose, never.Digest); err != nil || !got || !t.Expires.IsZero() || !t.LastUsed.Equal(at(1)) {
				k.Errorf("%t, %+v, %v: what never ends is not given an end", got, t, err)
			}
		},
	})
}
