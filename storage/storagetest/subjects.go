package storagetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

func subjects(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"unknown_has_epoch_0: a subject never seen, or malformed, has epoch 0": func(k *kit) {
			for _, s := range []string{"nobody", "", "a\x00b"} {
				if n := k.epoch(s); n != 0 {
					k.Errorf("epoch of %q is %d", s, n)
				}
			}
		},
		"bump: each bump gives a greater epoch, at least the clock in microseconds; a malformed subject gets ErrInvalid": func(k *kit) {
			last := int64(0)
			for range 100 {
				n, err := k.s.BumpEpoch(k.ctx, "someone")
				k.must(err)
				if n <= last || k.epoch("someone") != n {
					k.Fatalf("bumped to %d after %d, stored %d", n, last, k.epoch("someone"))
				}
				last = n
			}
			if last < 1_000_000_000_000_000 {
				k.Errorf("epoch %d is below the clock in microseconds: a restored backup would bring it back", last)
			}
			_, err := k.s.BumpEpoch(k.ctx, "")
			k.is(err, storage.ErrInvalid, "a subject has an id")
		},
		"bump_ends_the_token: a token of the earlier epoch is not usable": func(k *kit) {
			k.needs(StaticTokens)
			u, tok := k.give("alice")
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			if k.usable(tok.Digest) {
				k.Error("the token is usable after the epoch moved")
			}
		},
		"forget: DeleteSubject deletes credentials and permissions, moves the epoch, and can be repeated": func(k *kit) {
			k.needs(StaticTokens, Permissions)
			u, tok := k.give("alice")
			before := k.epoch(u.ID)
			k.must(k.s.SetSubjectGroups(k.ctx, u.ID, []string{"g"}))
			k.must(k.s.SetGroupPermissions(k.ctx, "g", []string{"app.x"}))
			k.must(k.s.DeleteSubject(k.ctx, u.ID))
			k.must(k.s.DeleteSubject(k.ctx, u.ID))
			_, err := k.s.StaticTokenOf(k.ctx, u.ID)
			k.is(err, storage.ErrNotFound, "the token is deleted")
			_, _, err = k.s.StaticTokenByDigest(k.ctx, tok.Digest)
			k.is(err, storage.ErrNotFound, "the token is deleted")
			p, err := k.s.SubjectPermissions(k.ctx, u.ID)
			k.must(err)
			if len(p) != 0 || k.epoch(u.ID) <= before {
				k.Errorf("permissions %q, epoch %d after %d", p, k.epoch(u.ID), before)
			}
			k.is(k.s.DeleteSubject(k.ctx, "a\x00"), storage.ErrInvalid, "a subject has an id")
			k.is(k.s.PutStaticToken(k.ctx, token(u.ID, before, 2), storage.Digest{}), storage.ErrStale, "the epoch of before does not fit")
		},
	})
}

func permissions(t *testing.T, s *suite) {
	get := func(k *kit, subject string) []string {
		k.Helper()
		p, err := k.s.SubjectPermissions(k.ctx, subject)
		k.must(err)
		return p
	}
	s.rules(t, map[string]func(*kit){
		"own_and_of_groups: a subject has its own permissions and those of its groups, each once, sorted; a set replaces the list": func(k *kit) {
			u := k.add("alice")
			k.must(k.s.SetGroupPermissions(k.ctx, "editors", []string{"app.change_x", "app.add_x"}))
			k.must(k.s.SetSubjectPermissions(k.ctx, u.ID, []string{"app.view_x", "app.add_x"}))
			k.must(k.s.SetSubjectGroups(k.ctx, u.ID, []string{"editors", "nothing"}))
			if got, want := get(k, u.ID), []string{"app.add_x", "app.change_x", "app.view_x"}; !slices.Equal(got, want) {
				k.Errorf("got %q, want %q: each once, sorted", got, want)
			}
			k.must(k.s.SetSubjectGroups(k.ctx, u.ID, nil))
			k.must(k.s.SetSubjectPermissions(k.ctx, u.ID, []string{"app.other"}))
			if got := get(k, u.ID); !slices.Equal(got, []string{"app.other"}) {
				k.Errorf("got %q: a set replaces", got)
			}
			if got := get(k, "nobody"); len(got) != 0 {
				k.Errorf("nobody has %q", got)
			}
		},
		"has_perm: an account has the permissions that are listed, and \"*\" grants all": func(k *kit) {
			for name, want := range map[string]bool{"alice": false, "root": true} {
				u := k.add(name).WithPermissions(k.s)
				k.must(k.s.SetSubjectPermissions(k.ctx, u.ID, map[bool][]string{false: {"app.x"}, true: {"*"}}[want]))
				if x, err := u.HasPerm(k.ctx, "app.x"); err != nil || !x {
					k.Errorf("%s has app.x: %t, %v", name, x, err)
				}
				if y, err := u.HasPerm(k.ctx, "app.y"); err != nil || y != want {
					k.Errorf("%s has app.y: %t, %v", name, y, err)
				}
			}
		},
		// What an absent subject gets would belong to a later account with its ID.
		"attack_281_absent: permissions and groups for an absent account get ErrNotFound; clearing them is no error": func(k *kit) {
			u := k.add("alice")
			give := func(ctx context.Context) error { return k.s.SetSubjectPermissions(ctx, u.ID, []string{"*"}) }
			join := func(ctx context.Context) error { return k.s.SetSubjectGroups(ctx, u.ID, []string{"admins"}) }
			k.must(k.s.SetGroupPermissions(k.ctx, "admins", []string{"*"}))
			k.must(errors.Join(give(k.ctx), join(k.ctx), k.s.DeleteUser(k.ctx, u.ID)))
			k.is(give(k.ctx), storage.ErrNotFound, "there is no such account")
			k.is(join(k.ctx), storage.ErrNotFound, "there is no such account")
			if k.has(Transactor) {
				k.must(k.s.InTx(k.ctx, func(ctx context.Context) error { _, _ = give(ctx), join(ctx); return nil }))
			}
			k.must(errors.Join(k.s.SetSubjectPermissions(k.ctx, u.ID, nil), k.s.SetSubjectGroups(k.ctx, u.ID, []string{})))
			k.add("alice")
			if got := get(k, u.ID); len(got) != 0 {
				k.Errorf("a new account has %q", got)
			}
		},
		"attack_281_beside_deletion: permissions that are set while the account is deleted are not those of a later account of its ID": func(k *kit) {
			k.owns(Users, Accounts)
			u := account("alice")
			give := func(ctx context.Context) error { return k.s.SetSubjectPermissions(ctx, u.ID, []string{"*"}) }
			join := func(ctx context.Context) error { return k.s.SetSubjectGroups(ctx, u.ID, []string{"admins"}) }
			k.must(k.s.SetGroupPermissions(k.ctx, "admins", []string{"*"}))
			for range 10 {
				k.add("alice")
				for i, err := range race(func(i int) error {
					if i == 0 {
						return k.s.DeleteUser(k.ctx, u.ID)
					}
					return []func(context.Context) error{give, join}[i%2](k.ctx)
				}) {
					if err != nil && (i == 0 || !errors.Is(err, storage.ErrNotFound)) {
						k.Error(err)
					}
				}
				k.add("alice")
				if got := get(k, u.ID); len(got) != 0 {
					k.Errorf("a new account has %q", got)
				}
				k.must(k.s.DeleteUser(k.ctx, u.ID))
			}
		},
		"invalid: a malformed subject, group or permission is refused with ErrInvalid, and nothing changes": func(k *kit) {
			k.is(k.s.SetSubjectPermissions(k.ctx, "", nil), storage.ErrInvalid, "a subject has an id")
			k.is(k.s.SetSubjectPermissions(k.ctx, "1", []string{"ok", "a\x00"}), storage.ErrInvalid, "NUL is refused")
			k.is(k.s.SetGroupPermissions(k.ctx, "g", []string{""}), storage.ErrInvalid, "a permission has a name")
			if got := get(k, "1"); len(got) != 0 {
				k.Errorf("a refused set changed something: %q", got)
			}
		},
	})
}
