package storagetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func credentialRaces(t *testing.T, s *suite) {
	create := func(k *kit, t storage.Credential, l storage.CredentialLimit) error {
		_, err := k.s.CreateCredential(k.ctx, t, l)
		return err
	}
	// without runs end while credentials are created concurrently, which end can make stale.
	without := func(k *kit, u storage.User, end func() error) {
		k.Helper()
		for _, err := range race(func(i int) error {
			if i == together/2 {
				return end()
			}
			err := create(k, credential(u.ID, 0, i), anyNumber)
			if errors.Is(err, storage.ErrStale) {
				return nil
			}
			return err
		}) {
			k.must(err)
		}
		for i := range together {
			if k.usableCredential(credential(u.ID, 0, i).Digest) {
				k.Errorf("token %d is usable", i)
			}
		}
	}
	s.rules(t, map[string]func(*kit){
		"attack_041_limit_refuses: however many are created at the same time, the limit holds exactly": func(k *kit) {
			u := k.add("alice")
			made := 0
			for _, err := range race(func(i int) error {
				return create(k, credential(u.ID, 0, i), storage.CredentialLimit{Max: 5, Now: born})
			}) {
				if err == nil {
					made++
				} else {
					k.is(err, storage.ErrLimit, "there is no room")
				}
			}
			if left := k.credentialsLeft(u.ID); made != 5 || len(left) != 5 {
				k.Errorf("%d were made, %d are there: exactly 5", made, len(left))
			}
		},
		"attack_041_limit_evicts: however many are created at the same time, each is left or was evicted once": func(k *kit) {
			u := k.add("alice")
			var evicted [together][]storage.Credential
			for _, err := range race(func(i int) (err error) {
				evicted[i], err = k.s.CreateCredential(k.ctx, credential(u.ID, 0, i), storage.CredentialLimit{Max: 5, Evict: true, Now: born})
				return err
			}) {
				k.must(err)
			}
			seen := map[string]int{}
			for _, list := range evicted {
				for _, id := range credentialIDs(list) {
					seen[id]++
				}
			}
			left := k.credentialsLeft(u.ID)
			for _, id := range left {
				seen[id]++
			}
			for i := range together {
				if id := credential(u.ID, 0, i).ID; seen[id] != 1 {
					k.Errorf("%s is left or was evicted %d times", id, seen[id])
				}
			}
			if len(left) != 5 {
				k.Errorf("%d are left: exactly 5", len(left))
			}
		},
		"one_digest: of credentials with one digest one is created": func(k *kit) {
			for i := range together {
				k.add(fmt.Sprint(i))
			}
			k.oneWins(race(func(i int) error {
				t := credential(account(fmt.Sprint(i)).ID, 0, i)
				t.Digest = storage.DigestOf("one")
				return create(k, t, anyNumber)
			}), storage.ErrConflict, "tokens of one digest")
		},
		"touch_once: of concurrent uses one is written": func(k *kit) {
			t := k.giveCredential(k.add("alice").ID, 1)
			var touched [together]bool
			for _, err := range race(func(i int) (err error) {
				touched[i], err = k.s.TouchCredential(k.ctx, purpose, t.Digest, born.Add(time.Duration(i)*time.Second), time.Time{}, born.Add(-time.Minute))
				return err
			}) {
				k.must(err)
			}
			n := 0
			for _, yes := range touched {
				if yes {
					n++
				}
			}
			if n != 1 {
				k.Errorf("%d of %d wrote", n, together)
			}
		},
		"delete_once: of concurrent deletions one succeeds": func(k *kit) {
			t := k.giveCredential(k.add("alice").ID, 1)
			k.oneWins(race(func(int) error { return k.s.DeleteCredential(k.ctx, purpose, t.Subject, t.ID) }), storage.ErrNotFound, "deletions")
		},
		"delete_all_or_one: each deletion is counted once": func(k *kit) {
			k.needs(CredentialList)
			u := k.add("alice")
			for i := range together {
				k.giveCredential(u.ID, i)
			}
			var counted [together]int
			for _, err := range race(func(i int) (err error) {
				if i%8 == 0 {
					counted[i], err = k.s.DeleteCredentialsOf(k.ctx, purpose, u.ID, "")
					return err
				}
				if err = k.s.DeleteCredential(k.ctx, purpose, u.ID, credential(u.ID, 0, i).ID); err == nil {
					counted[i] = 1
				} else if errors.Is(err, storage.ErrNotFound) {
					err = nil
				}
				return err
			}) {
				k.must(err)
			}
			sum := 0
			for _, n := range counted {
				sum += n
			}
			if sum != together {
				k.Errorf("%d deletions were reported of %d tokens", sum, together)
			}
		},
		"touch_or_deleted: a use does not bring a deleted credential back": func(k *kit) {
			t := k.giveCredential(k.add("alice").ID, 1)
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.DeleteCredential(k.ctx, purpose, t.Subject, t.ID)
				}
				_, err := k.s.TouchCredential(k.ctx, purpose, t.Digest, born.Add(time.Duration(i)*time.Second), time.Time{}, born.Add(time.Hour))
				return err
			}) {
				k.must(err)
			}
			_, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
			k.is(err, storage.ErrNotFound, "a use does not bring a deleted token back")
		},
		"created_or_disabled: no credential is usable after its subject was disabled, whatever the order": func(k *kit) {
			u := k.add("alice")
			without(k, u, func() error { return k.s.SetActive(k.ctx, u.ID, false) })
		},
		"attack_043_created_or_logged_out_everywhere: no credential of the earlier epoch is usable after the epoch moved, whatever the order": func(k *kit) {
			u := k.add("alice")
			without(k, u, func() error { _, err := k.s.BumpEpoch(k.ctx, u.ID); return err })
		},
		"attack_045_created_or_deleted: nothing is left of an account that was deleted meanwhile": func(k *kit) {
			k.needs(CredentialList)
			k.owns(Accounts)
			u := k.add("alice")
			without(k, u, func() error { return errors.Join(k.s.DeleteUser(k.ctx, u.ID), k.s.CreateUser(k.ctx, u)) })
			if n, err := k.s.DeleteCredentialsOf(k.ctx, purpose, u.ID, ""); n != 0 || err != nil {
				k.Errorf("%d tokens of the deleted account were left behind, %v", n, err)
			}
		},
		"created_or_forgotten: nothing is left of a subject that was forgotten meanwhile": func(k *kit) {
			k.needs(CredentialList)
			k.owns(Subjects)
			u := k.add("alice")
			without(k, u, func() error { return k.s.DeleteSubject(k.ctx, u.ID) })
			if n, err := k.s.DeleteCredentialsOf(k.ctx, purpose, u.ID, ""); n != 0 || err != nil {
				k.Errorf("%d tokens of the forgotten subject were left behind, %v", n, err)
			}
		},
	})
}
