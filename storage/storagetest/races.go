package storagetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// together is the number of concurrent goroutines.
const together = 64

// race calls f concurrently from many goroutines and returns their errors.
func race(f func(i int) error) []error {
	errs := make([]error, together)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range together {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins checks that one call succeeded and all others returned want.
func (k *kit) oneWins(errs []error, want error, what string) {
	k.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, want) {
			k.Errorf("%s: a loser got %v, want %v", what, err, want)
		}
	}
	if won != 1 {
		k.Errorf("%s: %d of %d won", what, won, len(errs))
	}
}

func races(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"one_name: of accounts with one name one is created": func(k *kit) {
			k.owns(Users)
			k.oneWins(race(func(i int) error {
				u := account("alice")
				u.ID = string(rune('a'+i%26)) + string(rune('a'+i/26))
				return k.s.CreateUser(k.ctx, u)
			}), storage.ErrConflict, "accounts of one name")
		},
		"first_token: of first tokens of one subject one is stored": func(k *kit) {
			k.needs(StaticTokens)
			u := k.add("alice")
			k.oneWins(race(func(i int) error {
				return k.s.PutStaticToken(k.ctx, token(u.ID, 0, i), storage.Digest{})
			}), storage.ErrConflict, "first tokens")
		},
		"exchange: of exchanges of one token one succeeds": func(k *kit) {
			k.needs(StaticTokens)
			u, tok := k.give("alice")
			k.oneWins(race(func(i int) error {
				return k.s.PutStaticToken(k.ctx, token(u.ID, tok.Epoch, 100+i), tok.Digest)
			}), storage.ErrConflict, "exchanges of one token")
			if list, err := k.s.ListStaticTokens(k.ctx, "", 10); err != nil || len(list) != 1 || k.usable(tok.Digest) {
				k.Errorf("%d tokens, %v", len(list), err)
			}
		},
		"delete: of deletions of one token one succeeds": func(k *kit) {
			k.needs(StaticTokens)
			_, tok := k.give("alice")
			k.oneWins(race(func(int) error { return k.s.DeleteStaticToken(k.ctx, tok.Digest) }), storage.ErrNotFound, "deletions")
		},
		"rehash: of rehashes of one hash one succeeds": func(k *kit) {
			k.owns(Users, Accounts)
			u := k.add("alice")
			k.oneWins(race(func(i int) error {
				return k.s.ReplaceHash(k.ctx, u.ID, u.Password, storage.PasswordHash(rune('a'+i)))
			}), storage.ErrConflict, "rehashes")
		},
		// A new encoding of the old password never replaces a new password.
		"rehash_or_new_password: a better encoding of the old password never replaces a new password": func(k *kit) {
			k.owns(Users, Accounts)
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.SetPassword(k.ctx, u.ID, "new")
				}
				err := k.s.ReplaceHash(k.ctx, u.ID, u.Password, u.Password+" better")
				if errors.Is(err, storage.ErrConflict) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			if got, err := k.s.UserByID(k.ctx, u.ID); err != nil || got.Password != "new" {
				k.Errorf("the new password was lost: %v", err)
			}
		},
		// Of several changes that proved the same old password one succeeds, and none undoes a
		// reset.
		"changes_of_one_password: of changes that proved one old password one succeeds": func(k *kit) {
			k.owns(Users, Accounts)
			u := k.add("alice")
			k.oneWins(race(func(i int) error {
				return k.s.ChangePassword(k.ctx, u.ID, 0, storage.PasswordHash(rune('a'+i)))
			}), storage.ErrStale, "changes of one password")
		},
		"change_or_reset: a change that proved the old password does not survive a reset": func(k *kit) {
			k.owns(Users, Accounts)
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.SetPassword(k.ctx, u.ID, "reset")
				}
				err := k.s.ChangePassword(k.ctx, u.ID, 0, "changed")
				if errors.Is(err, storage.ErrStale) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			if got, err := k.s.UserByID(k.ctx, u.ID); err != nil || got.Password != "reset" {
				k.Errorf("the reset was overwritten: %v", err)
			}
		},
		"one_list_of_permissions: of two lists that are set at the same time one stays, never a mixture": func(k *kit) {
			k.needs(Permissions)
			u := k.add("alice")
			k.must(k.s.SetGroupPermissions(k.ctx, "a", []string{"app.a"}))
			k.must(k.s.SetGroupPermissions(k.ctx, "b", []string{"app.b"}))
			for what, set := range map[string]func(context.Context, string, []string) error{
				"app.": k.s.SetSubjectPermissions, "": k.s.SetSubjectGroups,
			} {
				for _, err := range race(func(i int) error { return set(k.ctx, u.ID, []string{what + string(rune('a'+i%2))}) }) {
					k.must(err)
				}
				if got, err := k.s.SubjectPermissions(k.ctx, u.ID); err != nil || len(got) != 1 {
					k.Errorf("got %q, %v: of two lists set at once one stays, never both", got, err)
				}
				k.must(set(k.ctx, u.ID, nil))
			}
		},
		"bumps: concurrent bumps give different epochs, and the greatest is stored": func(k *kit) {
			k.owns(Subjects)
			var mu sync.Mutex
			var seen []int64
			for _, err := range race(func(int) error {
				n, err := k.s.BumpEpoch(k.ctx, "someone")
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, n)
				return err
			}) {
				k.must(err)
			}
			slices.Sort(seen)
			if len(slices.Compact(slices.Clone(seen))) != together {
				k.Errorf("two bumps gave one epoch: %v", seen)
			}
			if last := k.epoch("someone"); last != seen[together-1] {
				k.Errorf("stored %d, greatest given %d", last, seen[together-1])
			}
		},
		// In either order, no token is usable after the subject was disabled.
		"attack_043_token_or_disabled: no token is usable after its subject was disabled, whatever the order": func(k *kit) {
			k.needs(StaticTokens)
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.SetActive(k.ctx, u.ID, false)
				}
				err := k.s.PutStaticToken(k.ctx, token(u.ID, 0, i), storage.Digest{})
				if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrStale) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			for i := range together {
				if k.usable(token(u.ID, 0, i).Digest) {
					k.Errorf("token %d is usable", i)
				}
			}
		},
		"attack_045_token_or_deleted: no token of a deleted account is usable, whatever the order": func(k *kit) {
			k.needs(StaticTokens)
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return errors.Join(k.s.DeleteUser(k.ctx, u.ID), k.s.CreateUser(k.ctx, u))
				}
				err := k.s.PutStaticToken(k.ctx, token(u.ID, 0, i), storage.Digest{})
				if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrStale) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			for i := range together {
				if k.usable(token(u.ID, 0, i).Digest) {
					k.Errorf("token %d of the deleted account is usable", i)
				}
			}
		},
		"token_or_logged_out_everywhere: no token of the earlier epoch is usable after the epoch moved, whatever the order": func(k *kit) {
			k.needs(StaticTokens)
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					_, err := k.s.BumpEpoch(k.ctx, u.ID)
					return err
				}
				err := k.s.PutStaticToken(k.ctx, token(u.ID, 0, i), storage.Digest{})
				if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrStale) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			for i := range together {
				if k.usable(token(u.ID, 0, i).Digest) {
					k.Errorf("token %d is usable", i)
				}
			}
		},
	})
}
