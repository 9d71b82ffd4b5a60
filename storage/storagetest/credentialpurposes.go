package storagetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// giveOther is giveCredential for otherPurpose.
func (k *kit) giveOther(subject string, n int) storage.Credential {
	k.Helper()
	c := credential(subject, k.epoch(subject), n)
	c.Purpose = otherPurpose
	_, err := k.s.CreateCredential(k.ctx, c, anyNumber)
	k.must(err)
	return c
}

// credentialPurposes tests that schemes which share a store cannot use each other's credentials.
func credentialPurposes(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"not_found_by_another: a credential is found under its own purpose only, whatever else is tried": func(k *kit) {
			u := k.add("alice")
			mine, theirs := k.giveCredential(u.ID, 1), k.giveOther(u.ID, 2)
			for range 2 { // twice, to test stores that cache
				for _, p := range []string{otherPurpose, "", "KNOX", "knox ", "kno", "knoxx", "%", "_nox", "a\x00", "\xff"} {
					_, _, err := k.s.CredentialByDigest(k.ctx, p, mine.Digest)
					k.is(err, storage.ErrNotFound, "another purpose finds nothing")
				}
				_, _, err := k.s.CredentialByDigest(k.ctx, purpose, theirs.Digest)
				k.is(err, storage.ErrNotFound, "another purpose finds nothing")
				got, _, err := k.s.CredentialByDigest(k.ctx, purpose, mine.Digest)
				if err != nil || got.Purpose != purpose || got.ID != mine.ID {
					k.Errorf("got %+v, %v: its own purpose finds it", got, err)
				}
				got, _, err = k.s.CredentialByDigest(k.ctx, otherPurpose, theirs.Digest)
				if err != nil || got.Purpose != otherPurpose || got.ID != theirs.ID {
					k.Errorf("got %+v, %v: its own purpose finds it", got, err)
				}
			}
		},
		"found_after_another_failed: that one purpose does not know a digest says nothing about another": func(k *kit) {
			u := k.add("alice")
			c := credential(u.ID, 0, 1)
			for _, p := range []string{purpose, otherPurpose} {
				_, _, err := k.s.CredentialByDigest(k.ctx, p, c.Digest)
				k.is(err, storage.ErrNotFound, "it does not exist yet")
			}
			k.giveCredential(u.ID, 1)
			_, _, err := k.s.CredentialByDigest(k.ctx, otherPurpose, c.Digest)
			k.is(err, storage.ErrNotFound, "another purpose finds nothing")
			if !k.usableCredential(c.Digest) {
				k.Error("a new credential is found at once")
			}
		},
		"not_changed_by_another: a call for another purpose neither notes a use nor deletes": func(k *kit) {
			u := k.add("alice")
			c := k.giveCredential(u.ID, 1)
			for _, p := range []string{otherPurpose, "", "a\x00"} {
				if touched, err := k.s.TouchCredential(k.ctx, p, c.Digest, born.Add(time.Hour), time.Time{}, born.Add(time.Hour)); touched || err != nil {
					k.Errorf("%q: touched %t, %v", p, touched, err)
				}
				k.is(k.s.DeleteCredential(k.ctx, p, u.ID, c.ID), storage.ErrNotFound, "another purpose has no such credential")
				if k.has(CredentialList) {
					if n, err := k.s.DeleteCredentialsOf(k.ctx, p, u.ID, ""); n != 0 || err != nil {
						k.Errorf("%q: deleted %d, %v", p, n, err)
					}
				}
			}
			got, _, err := k.s.CredentialByDigest(k.ctx, purpose, c.Digest)
			if err != nil || !got.LastUsed.IsZero() {
				k.Errorf("got %+v, %v: nothing changed", got, err)
			}
		},
		"one_digest: a digest is taken by whatever purpose, so that it has one meaning": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			c := k.giveCredential(u.ID, 1)
			for _, subject := range []string{u.ID, bob.ID} {
				forged := credential(subject, 0, 7)
				forged.Purpose, forged.Digest = otherPurpose, c.Digest
				_, err := k.s.CreateCredential(k.ctx, forged, storage.CredentialLimit{Max: 1, Evict: true, Now: born})
				k.is(err, storage.ErrConflict, "the digest is taken")
				_, _, err = k.s.CredentialByDigest(k.ctx, otherPurpose, c.Digest)
				k.is(err, storage.ErrNotFound, "a refused credential is not there")
			}
			if !k.usableCredential(c.Digest) {
				k.Error("a refused credential changed something")
			}
		},
		"limits_apart: the limit counts and evicts credentials of the same purpose only": func(k *kit) {
			u := k.add("alice")
			mine, theirs := k.giveCredential(u.ID, 1), k.giveOther(u.ID, 2)
			next := credential(u.ID, 0, 3)
			next.Purpose = otherPurpose
			_, err := k.s.CreateCredential(k.ctx, next, storage.CredentialLimit{Max: 1, Now: born})
			k.is(err, storage.ErrLimit, "one of that purpose is there")
			evicted, err := k.s.CreateCredential(k.ctx, next, storage.CredentialLimit{Max: 1, Evict: true, Now: born})
			if got := credentialIDs(evicted); err != nil || !slices.Equal(got, []string{theirs.ID}) || evicted[0].Purpose != otherPurpose {
				k.Errorf("evicted %q, %v", got, err)
			}
			if !k.usableCredential(mine.Digest) {
				k.Error("another purpose's credential was evicted")
			}
			_, err = k.s.CreateCredential(k.ctx, credential(u.ID, 0, 4), storage.CredentialLimit{Max: 2, Now: born})
			k.is(err, nil, "another purpose's credentials do not count")
		},
		"lists_apart: a list shows one purpose, and CredentialPurposes names those with something to list": func(k *kit) {
			k.needs(CredentialList)
			u := k.add("alice")
			mine, theirs := k.giveCredential(u.ID, 1), k.giveOther(u.ID, 2)
			k.giveOther(k.add("bob").ID, 1)
			for p, want := range map[string][]string{purpose: {mine.ID}, otherPurpose: {theirs.ID}, "": nil, "third": nil, "a\x00": nil} {
				if list, err := k.s.ListCredentials(k.ctx, p, u.ID, 10); err != nil || !slices.Equal(credentialIDs(list), want) || len(list) > 0 && list[0].Purpose != p {
					k.Errorf("%q lists %+v, %v", p, list, err)
				}
			}
			purposes := func(want ...string) {
				k.Helper()
				if got, err := k.s.CredentialPurposes(k.ctx, u.ID); err != nil || !slices.Equal(got, want) {
					k.Errorf("purposes %q, %v, want %q", got, err, want)
				}
			}
			purposes(otherPurpose, purpose)
			k.must(k.s.DeleteCredential(k.ctx, otherPurpose, u.ID, theirs.ID))
			purposes(purpose)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			purposes()
		},
		"deleted_apart_or_together: one purpose's credentials are deleted, or all of them, and counted": func(k *kit) {
			k.needs(CredentialList)
			u, bob := k.add("alice"), k.add("bob")
			kept := k.giveCredential(bob.ID, 1)
			for n := range 3 {
				k.giveCredential(u.ID, n)
			}
			theirs := k.giveOther(u.ID, 5)
			if n, err := k.s.DeleteCredentialsOf(k.ctx, purpose, u.ID, theirs.ID); n != 3 || err != nil {
				k.Errorf("deleted %d, %v", n, err)
			}
			if _, _, err := k.s.CredentialByDigest(k.ctx, otherPurpose, theirs.Digest); err != nil {
				k.Errorf("another purpose's is gone: %v", err)
			}
			k.giveCredential(u.ID, 6)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.giveOther(u.ID, 7)
			for _, want := range []int{3, 0} {
				if n, err := k.s.DeleteAllCredentialsOf(k.ctx, u.ID); n != want || err != nil {
					k.Errorf("deleted %d, %v, want %d: of whatever purpose and epoch", n, err, want)
				}
			}
			_, _, err = k.s.CredentialByDigest(k.ctx, otherPurpose, credential(u.ID, 0, 7).Digest)
			k.is(err, storage.ErrNotFound, "it is deleted")
			if !k.usableCredential(kept.Digest) {
				k.Error("another subject's is gone")
			}
		},
		"races_apart: creations of two purposes at the same time keep two limits exactly": func(k *kit) {
			u := k.add("alice")
			made := map[string]int{}
			errs := race(func(i int) error {
				c := credential(u.ID, 0, i)
				if i%2 == 1 {
					c.Purpose = otherPurpose
				}
				_, err := k.s.CreateCredential(k.ctx, c, storage.CredentialLimit{Max: 3, Now: born})
				return err
			})
			for i, err := range errs {
				if err == nil {
					made[[]string{purpose, otherPurpose}[i%2]]++
				} else if !errors.Is(err, storage.ErrLimit) {
					k.Error(err)
				}
			}
			if made[purpose] != 3 || made[otherPurpose] != 3 {
				k.Errorf("made %v: exactly 3 of each", made)
			}
		},
	})
}
