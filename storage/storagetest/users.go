package storagetest

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func users(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"round_trip: an account comes back as it was stored, by ID and by name": func(k *kit) {
			want := k.add("alice")
			byID, err := k.s.UserByID(k.ctx, want.ID)
			k.must(err)
			byName, err := k.s.UserByName(k.ctx, want.Name)
			k.must(err)
			for how, got := range map[string]storage.User{"id": byID, "name": byName} {
				if !reflect.DeepEqual(got, want) {
					k.Errorf("by %s: got %#v, want %#v", how, got, want)
				}
			}
		},
		"inactive_is_returned: a disabled account is returned: the scheme judges it": func(k *kit) {
			u := account("bob")
			u.Active, u.Roles, u.Email = false, nil, ""
			k.must(k.s.CreateUser(k.ctx, u))
			got, err := k.s.UserByID(k.ctx, u.ID)
			k.must(err)
			if got.Active || len(got.Roles) != 0 {
				k.Errorf("got %+v", got)
			}
		},
		"absent: what is absent or malformed gets ErrNotFound": func(k *kit) {
			for _, id := range []string{"nobody", "", "a\x00b", "\xff", strings.Repeat("x", 300)} {
				_, err := k.s.UserByID(k.ctx, id)
				k.is(err, storage.ErrNotFound, "a malformed id counts as absent")
				_, err = k.s.UserByName(k.ctx, id)
				k.is(err, storage.ErrNotFound, "a malformed name counts as absent")
			}
		},
		"names_are_compared_byte_for_byte: another spelling is another name": func(k *kit) {
			k.add("alice")
			for _, name := range []string{"Alice", "alice ", "ALICE", "alicé"} {
				_, err := k.s.UserByName(k.ctx, name)
				k.is(err, storage.ErrNotFound, "another spelling is another name")
			}
		},
		"taken: an ID and a name are taken once; ErrConflict changes nothing": func(k *kit) {
			k.add("alice")
			again := account("alice")
			k.is(k.s.CreateUser(k.ctx, again), storage.ErrConflict, "id and name are taken")
			again.ID = "other"
			k.is(k.s.CreateUser(k.ctx, again), storage.ErrConflict, "the name is taken")
			again.ID, again.Name = "id-alice", "other"
			k.is(k.s.CreateUser(k.ctx, again), storage.ErrConflict, "the id is taken")
			if u, err := k.s.UserByID(k.ctx, "id-alice"); err != nil || u.Name != "alice" {
				k.Errorf("a refused creation changed the account: %+v, %v", u, err)
			}
		},
		"invalid: an account that cannot be kept is refused with ErrInvalid": func(k *kit) {
			for _, bad := range []string{"", "a\x00b", "\xff\xfe", strings.Repeat("x", storage.MaxIDBytes+1)} {
				u := account("x")
				u.ID = bad
				k.is(k.s.CreateUser(k.ctx, u), storage.ErrInvalid, "a malformed id is refused")
				u = account("x")
				u.Name = bad
				k.is(k.s.CreateUser(k.ctx, u), storage.ErrInvalid, "a malformed name is refused")
			}
			for _, change := range []func(*storage.User){
				func(u *storage.User) { u.Email = "a\x00b" }, func(u *storage.User) { u.Email = "\xff" }, func(u *storage.User) { u.Email = strings.Repeat("a", storage.MaxEmailBytes+1) }, func(u *storage.User) { u.Roles = []string{"a,b"} },
				func(u *storage.User) { u.Roles = []string{""} }, func(u *storage.User) { u.Roles = []string{"a\x00"} }, func(u *storage.User) { u.Roles = []string{" a"} },
			} {
				u := account("x")
				change(&u)
				k.is(k.s.CreateUser(k.ctx, u), storage.ErrInvalid, "a malformed e-mail or role is refused")
			}
		},
		"list: pages of accounts follow each other in the order of the names' bytes": func(k *kit) {
			for _, name := range []string{"b", "a", "ä", "c", "B"} {
				k.add(name)
			}
			var got []string
			for after := ""; ; {
				page, err := k.s.ListUsers(k.ctx, after, 2)
				k.must(err)
				for _, u := range page {
					got = append(got, u.Name)
					after = u.Name
				}
				if len(page) < 2 {
					break
				}
			}
			if want := []string{"B", "a", "b", "c", "ä"}; !slices.Equal(got, want) {
				k.Errorf("got %q, want %q: pages follow each other in order of the names' bytes", got, want)
			}
		},
		"list_of_none: nothing is listed after the last name or with a limit of 0 or less": func(k *kit) {
			k.add("alice")
			for after, limit := range map[string]int{"": 0, "a": -1, "alice": 10, "\U0010ffff": 10} {
				if page, err := k.s.ListUsers(k.ctx, after, limit); err != nil || len(page) != 0 {
					k.Errorf("%d after %q: %d accounts, %v: nobody's name is greater, or none was asked for", limit, after, len(page), err)
				}
			}
		},
		"times_are_utc: times come back in UTC, to the microsecond, and no time as the zero time": func(k *kit) {
			u := account("alice")
			u.Created = born.In(time.FixedZone("", 5*3600))
			k.must(k.s.CreateUser(k.ctx, u))
			got, err := k.s.UserByID(k.ctx, u.ID)
			k.must(err)
			if !got.Created.Equal(born) || got.Created.Location() != time.UTC {
				k.Errorf("%v came back as %v: times are UTC, to the microsecond", u.Created, got.Created)
			}
			u = account("bob")
			u.Created = time.Time{}
			k.must(k.s.CreateUser(k.ctx, u))
			if got, err := k.s.UserByID(k.ctx, u.ID); err != nil || !got.Created.IsZero() {
				k.Errorf("no time came back as %v, %v", got.Created, err)
			}
		},
		"what_is_returned_is_a_copy: roles are not shared with the caller": func(k *kit) {
			u := k.add("alice")
			got, err := k.s.UserByID(k.ctx, u.ID)
			k.must(err)
			got.Roles[0] = "changed"
			again, err := k.s.UserByID(k.ctx, u.ID)
			k.must(err)
			if again.Roles[0] != "staff" {
				k.Error("a caller changed a stored account through what it was given")
			}
			given := account("bob")
			k.must(k.s.CreateUser(k.ctx, given))
			given.Roles[0] = "changed"
			again, err = k.s.UserByID(k.ctx, given.ID)
			k.must(err)
			if again.Roles[0] != "staff" {
				k.Error("a caller changed a stored account through what it gave")
			}
		},
	})
}

func accounts(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"set_password: a new password bumps the epoch and deletes the static token": func(k *kit) {
			k.needs(StaticTokens)
			u, tok := k.give("alice")
			before := k.epoch(u.ID)
			k.must(k.s.SetPassword(k.ctx, u.ID, "new"))
			got, err := k.s.UserByID(k.ctx, u.ID)
			k.must(err)
			if got.Password != "new" || got.Epoch <= before {
				k.Errorf("password set %t, epoch %d after %d: a new password bumps the epoch", got.Password == "new", got.Epoch, before)
			}
			_, _, err = k.s.StaticTokenByDigest(k.ctx, tok.Digest)
			k.is(err, storage.ErrNotFound, "a new password deletes the static token")
			k.is(k.s.SetPassword(k.ctx, "nobody", "x"), storage.ErrNotFound, "there is no such account")
		},
		"change_password: a change needs the epoch that was read and an active account, and ends what there was": func(k *kit) {
			k.needs(StaticTokens)
			u, tok := k.give("alice")
			before := k.epoch(u.ID)
			k.is(k.s.ChangePassword(k.ctx, u.ID, before+1, "x"), storage.ErrStale, "the epoch is another")
			k.is(k.s.ChangePassword(k.ctx, "nobody", 0, "x"), storage.ErrNotFound, "there is no such account")
			k.is(k.s.ChangePassword(k.ctx, "a\x00", 0, "x"), storage.ErrNotFound, "a malformed id counts as absent")
			if got, err := k.s.UserByID(k.ctx, u.ID); err != nil || got.Password != u.Password || !k.usable(tok.Digest) {
				k.Errorf("a refused change changed something: %v", err)
			}
			k.must(k.s.ChangePassword(k.ctx, u.ID, before, "new"))
			got, err := k.s.UserByID(k.ctx, u.ID)
			k.must(err)
			if got.Password != "new" || got.Epoch <= before || k.usable(tok.Digest) {
				k.Error("a new password is stored and ends what there was")
			}
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			k.is(k.s.ChangePassword(k.ctx, u.ID, k.epoch(u.ID), "x"), storage.ErrStale, "the account is disabled")
		},
		"replace_hash: a better encoding replaces only the hash that was read, and ends nothing": func(k *kit) {
			k.needs(StaticTokens)
			u, tok := k.give("alice")
			before := k.epoch(u.ID)
			k.must(k.s.ReplaceHash(k.ctx, u.ID, u.Password, "better"))
			k.is(k.s.ReplaceHash(k.ctx, u.ID, u.Password, "other"), storage.ErrConflict, "the hash is another by now")
			k.is(k.s.ReplaceHash(k.ctx, "nobody", "a", "b"), storage.ErrNotFound, "there is no such account")
			got, err := k.s.UserByID(k.ctx, u.ID)
			k.must(err)
			if got.Password != "better" || got.Epoch != before || !k.usable(tok.Digest) {
				k.Error("a better encoding of the same password ends nothing")
			}
		},
		"attack_044_disabled: disabling ends the token and bumps the epoch each time; enabling brings nothing back": func(k *kit) {
			k.needs(StaticTokens)
			u, tok := k.give("alice")
			before := k.epoch(u.ID)
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			if k.usable(tok.Digest) || k.epoch(u.ID) <= before {
				k.Error("disabling ends the token and bumps the epoch")
			}
			middle := k.epoch(u.ID)
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			if k.epoch(u.ID) <= middle {
				k.Error("disabling twice bumps twice")
			}
			last := k.epoch(u.ID)
			k.must(k.s.SetActive(k.ctx, u.ID, true))
			if k.epoch(u.ID) != last || k.usable(tok.Digest) {
				k.Error("enabling brings nothing back and ends nothing")
			}
			k.is(k.s.SetActive(k.ctx, "nobody", true), storage.ErrNotFound, "there is no such account")
		},
		"set_roles: new roles replace the old ones, and end nothing": func(k *kit) {
			k.needs(StaticTokens)
			u, tok := k.give("alice")
			other := k.add("bob")
			before := k.epoch(u.ID)
			given := []string{"admin", "editor"}
			for _, roles := range [][]string{given, {"reader"}, nil, {"staff", "admin"}, {}} {
				k.must(k.s.SetRoles(k.ctx, u.ID, roles...))
				got, err := k.s.UserByID(k.ctx, u.ID)
				k.must(err)
				if !slices.Equal(got.Roles, roles) {
					k.Errorf("roles %q, want %q", got.Roles, roles)
				}
				if got.Password != u.Password || !got.Active || got.Email != u.Email || got.Epoch != before || !k.usable(tok.Digest) {
					k.Errorf("new roles end nothing and change nothing else: %+v", got)
				}
				if _, got, err := k.s.StaticTokenByDigest(k.ctx, tok.Digest); err != nil || !slices.Equal(got.Roles, roles) {
					k.Errorf("the account of a credential has the roles %q, want %q, %v", got.Roles, roles, err)
				}
			}
			k.must(k.s.SetRoles(k.ctx, u.ID, given...))
			given[0] = "changed"
			if got, err := k.s.UserByID(k.ctx, u.ID); err != nil || !slices.Equal(got.Roles, []string{"admin", "editor"}) {
				k.Errorf("a caller changed the roles %q through what it gave, %v", got.Roles, err)
			}
			for _, bad := range []string{"", "a,b", "a\x00", "\xff", " a", "a\t"} {
				k.is(k.s.SetRoles(k.ctx, u.ID, "reader", bad), storage.ErrInvalid, "a malformed role is refused")
			}
			for _, id := range []string{"nobody", "", "a\x00"} {
				k.is(k.s.SetRoles(k.ctx, id, "admin"), storage.ErrNotFound, "there is no such account")
			}
			if got, err := k.s.UserByID(k.ctx, u.ID); err != nil || !slices.Equal(got.Roles, []string{"admin", "editor"}) {
				k.Errorf("a refused change changed the roles to %q, %v", got.Roles, err)
			}
			if got, err := k.s.UserByID(k.ctx, other.ID); err != nil || !slices.Equal(got.Roles, other.Roles) {
				k.Errorf("another account got the roles %q, %v", got.Roles, err)
			}
			k.must(k.s.SetActive(k.ctx, other.ID, false))
			k.must(k.s.SetRoles(k.ctx, other.ID))
			if got, err := k.s.UserByID(k.ctx, other.ID); err != nil || len(got.Roles) != 0 || got.Active {
				k.Errorf("roles of a disabled account: %+v, %v", got, err)
			}
		},
		"attack_045_deleted_and_id_used_again: nothing of a deleted account fits a new one with its ID: the epoch stays behind": func(k *kit) {
			k.needs(StaticTokens, Permissions)
			u, tok := k.give("alice")
			before := k.epoch(u.ID)
			k.must(k.s.SetSubjectPermissions(k.ctx, u.ID, []string{"app.add_x"}))
			k.must(k.s.DeleteUser(k.ctx, u.ID))
			_, err := k.s.UserByID(k.ctx, u.ID)
			k.is(err, storage.ErrNotFound, "the account is gone")
			k.is(k.s.DeleteUser(k.ctx, u.ID), storage.ErrNotFound, "it is gone already")
			_, err = k.s.StaticTokenOf(k.ctx, u.ID)
			k.is(err, storage.ErrNotFound, "the token went with the account")
			if list, err := k.s.ListStaticTokens(k.ctx, "", 10); err != nil || len(list) != 0 {
				k.Errorf("%d tokens of nobody, %v", len(list), err)
			}
			if k.epoch(u.ID) <= before {
				k.Error("a deletion bumps the epoch, which stays behind")
			}
			k.add("alice")
			if k.usable(tok.Digest) {
				k.Error("the token of the deleted account works for the new one")
			}
			k.is(k.s.PutStaticToken(k.ctx, token(u.ID, before, 2), storage.Digest{}), storage.ErrStale, "the epoch stays behind and does not fit")
			if p, err := k.s.SubjectPermissions(k.ctx, u.ID); err != nil || len(p) != 0 {
				k.Errorf("the new account has the permissions of the old one: %q, %v", p, err)
			}
		},
	})
}
