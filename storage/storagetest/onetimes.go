package storagetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func onetime(subject, purpose string, n int) storage.OneTimeToken {
	return storage.OneTimeToken{
		Digest: storage.DigestOf(fmt.Sprint(subject, purpose, n)), Purpose: purpose, Subject: subject, Bound: storage.DigestOf("bound"),
		Created: born, Expires: born.Add(time.Hour),
	}
}

func oneTimes(t *testing.T, s *suite) {
	there := func(k *kit, t storage.OneTimeToken) bool {
		k.Helper()
		_, _, err := k.s.OneTimeTokenByDigest(k.ctx, t.Digest)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			k.Fatal(err)
		}
		return err == nil
	}
	s.rules(t, map[string]func(*kit){
		"round_trip: a token comes back as it was stored, with its account": func(k *kit) {
			u := k.add("alice")
			want := onetime(u.ID, "reset", 1)
			given := want
			given.Created, given.Expires = born.In(time.FixedZone("", 3600)), want.Expires.In(time.FixedZone("", 60))
			k.must(k.s.CreateOneTimeToken(k.ctx, given))
			got, of, err := k.s.OneTimeTokenByDigest(k.ctx, want.Digest)
			if err != nil || !reflect.DeepEqual(got, want) || of.ID != u.ID || of.Name != "alice" {
				k.Errorf("got %+v of %+v, %v", got, of, err)
			}
			_, _, err = k.s.OneTimeTokenByDigest(k.ctx, storage.DigestOf("x"))
			k.is(err, storage.ErrNotFound, "there is none")
		},
		"one_of_a_purpose: a subject has one token of a purpose: a new one replaces it, and no other": func(k *kit) {
			u, other := k.add("alice"), k.add("bob")
			first, mail, bobs := onetime(u.ID, "reset", 1), onetime(u.ID, "mail", 1), onetime(other.ID, "reset", 1)
			for _, t := range []storage.OneTimeToken{first, mail, bobs} {
				k.must(k.s.CreateOneTimeToken(k.ctx, t))
			}
			second := onetime(u.ID, "reset", 2)
			k.must(k.s.CreateOneTimeToken(k.ctx, second))
			if there(k, first) || !there(k, second) || !there(k, mail) || !there(k, bobs) {
				k.Error("a new one takes the place of the earlier one of its purpose, and of no other")
			}
			k.must(k.s.CreateOneTimeToken(k.ctx, second)) // replaces only itself
			taken := mail
			taken.Digest = second.Digest
			k.is(k.s.CreateOneTimeToken(k.ctx, taken), storage.ErrConflict, "the digest is taken")
			if !there(k, mail) {
				k.Error("a refused one changes nothing")
			}
			k.must(k.s.DeleteOneTimeTokens(k.ctx, u.ID, "reset"))
			k.must(k.s.DeleteOneTimeTokens(k.ctx, u.ID, "reset"))
			k.must(k.s.DeleteOneTimeTokens(k.ctx, "a\x00b", ""))
			if there(k, second) || !there(k, mail) || !there(k, bobs) {
				k.Error("that of the purpose goes, and no other")
			}
		},
		"consume: ConsumeOneTimeToken deletes the token once, and none that was deleted, replaced or is of another epoch": func(k *kit) {
			u, other := k.add("alice"), k.add("bob")
			first, second, bobs := onetime(u.ID, "reset", 1), onetime(u.ID, "mail", 2), onetime(other.ID, "reset", 1)
			for _, t := range []storage.OneTimeToken{first, second, bobs} {
				k.must(k.s.CreateOneTimeToken(k.ctx, t))
			}
			for what, change := range map[string]func(*storage.OneTimeToken){
				"digest": func(t *storage.OneTimeToken) { t.Digest = second.Digest }, "purpose": func(t *storage.OneTimeToken) { t.Purpose = "mail" },
				"subject": func(t *storage.OneTimeToken) { t.Subject = other.ID },
			} {
				t := first
				change(&t)
				k.is(k.s.ConsumeOneTimeToken(k.ctx, t), storage.ErrNotFound, "another "+what)
			}
			k.must(k.s.ConsumeOneTimeToken(k.ctx, first))
			if there(k, first) || !there(k, second) || !there(k, bobs) {
				k.Error("the token goes, and no other")
			}
			k.is(k.s.ConsumeOneTimeToken(k.ctx, first), storage.ErrNotFound, "it was consumed")
			k.must(k.s.DeleteOneTimeTokens(k.ctx, u.ID, "mail"))
			k.is(k.s.ConsumeOneTimeToken(k.ctx, second), storage.ErrNotFound, "it was deleted")
			for _, subject := range []string{"nobody", "a\x00b", ""} {
				k.is(k.s.ConsumeOneTimeToken(k.ctx, onetime(subject, "reset", 1)), storage.ErrStale, "there is no such account")
			}
			old := bobs
			old.Epoch++
			k.is(k.s.ConsumeOneTimeToken(k.ctx, old), storage.ErrStale, "the epoch is another")
			won := 0
			for _, err := range race(func(int) error { return k.s.ConsumeOneTimeToken(k.ctx, bobs) }) {
				if err == nil {
					won++
				} else if !errors.Is(err, storage.ErrNotFound) {
					k.Error(err)
				}
			}
			if won != 1 {
				k.Errorf("%d of concurrent calls consumed it", won)
			}
		},
		"undone: a transaction that fails brings a consumed token back": func(k *kit) {
			k.needs(Transactor)
			t := onetime(k.add("alice").ID, "reset", 1)
			k.must(k.s.CreateOneTimeToken(k.ctx, t))
			failed := errors.New("later in the transaction")
			k.is(k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(k.s.ConsumeOneTimeToken(ctx, t))
				return failed
			}), failed, "the transaction fails")
			if !there(k, t) {
				k.Error("it is gone")
			}
		},
		"list: ListOneTimes returns the subject's tokens of all purposes as they were stored, and no others": func(k *kit) {
			u, other := k.add("alice"), k.add("bob")
			want := []storage.OneTimeToken{onetime(u.ID, "mail", 1), onetime(u.ID, "reset", 1)}
			want[0].Expires = want[0].Created
			for _, t := range append(want, onetime(other.ID, "reset", 1)) {
				k.must(k.s.CreateOneTimeToken(k.ctx, t))
			}
			got, err := k.s.ListOneTimes(k.ctx, u.ID)
			slices.SortFunc(got, func(a, b storage.OneTimeToken) int { return strings.Compare(a.Purpose, b.Purpose) })
			if err != nil || !reflect.DeepEqual(got, want) {
				k.Errorf("got %+v, %v", got, err)
			}
			for _, id := range []string{"nobody", "a\x00b", ""} {
				if got, err := k.s.ListOneTimes(k.ctx, id); len(got) != 0 || err != nil {
					k.Errorf("%q has %v, %v", id, got, err)
				}
			}
		},
		"refused: a token that cannot be kept, or of a subject that changed, is refused": func(k *kit) {
			u := k.add("alice")
			for what, change := range map[string]func(*storage.OneTimeToken){
				"no end": func(t *storage.OneTimeToken) { t.Expires = time.Time{} }, "no digest": func(t *storage.OneTimeToken) { t.Digest = storage.Digest{} },
				"purpose": func(t *storage.OneTimeToken) { t.Purpose = "" }, "subject": func(t *storage.OneTimeToken) { t.Subject = "a\x00" },
			} {
				t := onetime(u.ID, "reset", 1)
				change(&t)
				k.is(k.s.CreateOneTimeToken(k.ctx, t), storage.ErrInvalid, what)
			}
			k.is(k.s.CreateOneTimeToken(k.ctx, onetime("nobody", "reset", 1)), storage.ErrStale, "there is no such account")
			old := onetime(u.ID, "reset", 1)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.is(k.s.CreateOneTimeToken(k.ctx, old), storage.ErrStale, "the epoch is another by now")
			off := k.add("bob")
			k.must(k.s.SetActive(k.ctx, off.ID, false))
			epoch, err := k.s.SubjectEpoch(k.ctx, off.ID)
			k.must(err)
			t := onetime(off.ID, "reset", 1)
			t.Epoch = epoch
			k.is(k.s.CreateOneTimeToken(k.ctx, t), storage.ErrStale, "the account is disabled")
		},
		"ends_with_the_account: a new password, disabling and deletion delete the subject's tokens": func(k *kit) {
			k.owns(Accounts, Subjects)
			for name, end := range map[string]func(id string) error{
				"password": func(id string) error { return k.s.SetPassword(k.ctx, id, "x") },
				"disabled": func(id string) error { return k.s.SetActive(k.ctx, id, false) },
				"deleted":  func(id string) error { return k.s.DeleteUser(k.ctx, id) },
				"forgot":   func(id string) error { return k.s.DeleteSubject(k.ctx, id) },
			} {
				u := k.add(name)
				t := onetime(u.ID, "reset", 1)
				k.must(k.s.CreateOneTimeToken(k.ctx, t))
				k.must(end(u.ID))
				if there(k, t) {
					k.Errorf("%s: it is still there", name)
				}
			}
		},
		"prune: Prune deletes tokens that have expired and no others": func(k *kit) {
			k.needs(Pruner)
			var all []storage.OneTimeToken
			for n, at := range []time.Duration{-time.Hour, 0, time.Microsecond} {
				t := onetime(k.add(fmt.Sprint("u", n)).ID, "reset", n)
				t.Expires = born.Add(at)
				k.must(k.s.CreateOneTimeToken(k.ctx, t))
				all = append(all, t)
			}
			k.pruned(born, 10, 2)
			if there(k, all[0]) || there(k, all[1]) || !there(k, all[2]) {
				k.Error("what has expired goes")
			}
		},
		"one_uses_it: of concurrent uses that change the password one succeeds": func(k *kit) {
			k.owns(Accounts)
			u := k.add("alice")
			t := onetime(u.ID, "reset", 1)
			k.must(k.s.CreateOneTimeToken(k.ctx, t))
			won := 0
			for _, err := range race(func(int) error {
				got, _, err := k.s.OneTimeTokenByDigest(k.ctx, t.Digest)
				if err != nil {
					return err
				}
				return k.s.ChangePassword(k.ctx, got.Subject, got.Epoch, "new")
			}) {
				if err == nil {
					won++
				} else if !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrStale) {
					k.Error(err)
				}
			}
			if won != 1 || there(k, t) {
				k.Errorf("%d used it", won)
			}
		},
	})
}
