package storagetest

import (
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

func credentialEnds(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"delete: DeleteCredential deletes that credential of that subject once; a second call gets ErrNotFound": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			t := k.giveCredential(u.ID, 1)
			k.giveCredential(bob.ID, 1)
			k.is(k.s.DeleteCredential(k.ctx, purpose, bob.ID, "other"), storage.ErrNotFound, "there is no such token")
			k.must(k.s.DeleteCredential(k.ctx, purpose, u.ID, t.ID))
			k.is(k.s.DeleteCredential(k.ctx, purpose, u.ID, t.ID), storage.ErrNotFound, "it is deleted already")
			_, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
			k.is(err, storage.ErrNotFound, "it is deleted")
			if left := k.credentialsLeft(bob.ID); len(left) != 1 {
				k.Errorf("another subject's token of that ID: %q are left", left)
			}
		},
		"delete_all: DeleteCredentialsOf deletes the subject's credentials except one, of whatever epoch, and counts them": func(k *kit) {
			k.needs(CredentialList)
			u, bob := k.add("alice"), k.add("bob")
			for n := range 4 {
				k.giveCredential(u.ID, n)
			}
			k.giveCredential(bob.ID, 1)
			if n, err := k.s.DeleteCredentialsOf(k.ctx, purpose, u.ID, "device-0002"); err != nil || n != 3 {
				k.Errorf("deleted %d, %v: all but the kept one", n, err)
			}
			if left := k.credentialsLeft(u.ID); !slices.Equal(left, []string{"device-0002"}) {
				k.Errorf("left: %q", left)
			}
			if n, err := k.s.DeleteCredentialsOf(k.ctx, purpose, u.ID, "device-0001"); err != nil || n != 1 {
				k.Errorf("deleted %d, %v: what is to be kept need not be there", n, err)
			}
			k.giveCredential(u.ID, 5)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.giveCredential(u.ID, 6)
			for _, want := range []int{2, 0} {
				if n, err := k.s.DeleteCredentialsOf(k.ctx, purpose, u.ID, ""); err != nil || n != want {
					k.Errorf("deleted %d, %v, want %d: \"\" keeps none, of whatever epoch", n, err, want)
				}
			}
			if left := k.credentialsLeft(bob.ID); len(left) != 1 {
				k.Errorf("another subject has %q left", left)
			}
		},
		"ends_with: a new password, disabling and deletion delete the subject's credentials of every purpose": func(k *kit) {
			k.owns(Accounts, Subjects)
			for name, end := range map[string]func(id string) error{
				"password": func(id string) error { return k.s.SetPassword(k.ctx, id, "x") },
				"change":   func(id string) error { return k.s.ChangePassword(k.ctx, id, k.epoch(id), "x") },
				"disable":  func(id string) error { return k.s.SetActive(k.ctx, id, false) },
				"forget":   func(id string) error { return k.s.DeleteSubject(k.ctx, id) },
				"delete":   func(id string) error { return k.s.DeleteUser(k.ctx, id) },
			} {
				u, other := k.add(name), k.add("other "+name)
				t, kept, foreign := k.giveCredential(u.ID, 1), k.giveCredential(other.ID, 1), k.giveOther(u.ID, 2)
				k.must(end(u.ID))
				_, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
				k.is(err, storage.ErrNotFound, name+" deletes the credentials")
				_, _, err = k.s.CredentialByDigest(k.ctx, otherPurpose, foreign.Digest)
				k.is(err, storage.ErrNotFound, name+" deletes the credentials of every purpose")
				if k.has(CredentialList) {
					if n, err := k.s.DeleteAllCredentialsOf(k.ctx, u.ID); err != nil || n != 0 {
						k.Errorf("%s left %d, %v", name, n, err)
					}
				}
				if !k.usableCredential(kept.Digest) {
					k.Errorf("%s took another subject's token", name)
				}
			}
		},
	})
}

// counts tests storage.CredentialCount, if the store has it, for a subject with that number of
// credentials.
func (k *kit) counts(subject string, want int) {
	k.Helper()
	c, ok := k.s.CredentialList.(storage.CredentialCount)
	if !ok {
		return
	}
	for _, ask := range [][2]string{{purpose, subject}, {"other", subject}, {"\x00", subject}, {purpose, "nobody"}, {purpose, ""}} {
		if ask != [2]string{purpose, subject} {
			want = 0
		}
		if n, err := c.CountCredentials(k.ctx, ask[0], ask[1]); err != nil || n != want {
			k.Errorf("%q has %d, %v, want %d", ask, n, err, want)
		}
	}
}
