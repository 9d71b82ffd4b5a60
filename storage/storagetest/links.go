package storagetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const linkIssuer = "https://login.example"

func linkOf(subject, foreign string) storage.Link {
	return storage.Link{Issuer: linkIssuer, Foreign: foreign, ID: "link-" + foreign, Subject: subject, Created: born}
}

func links(t *testing.T, s *suite) {
	gone := func(k *kit, issuer, foreign, why string) {
		k.Helper()
		_, _, err := k.s.LinkOf(k.ctx, issuer, foreign)
		k.is(err, storage.ErrNotFound, why)
	}
	linked := func(k *kit, foreign ...string) storage.User {
		k.Helper()
		u := k.add("alice")
		for _, f := range foreign {
			k.must(k.s.CreateLink(k.ctx, linkOf(u.ID, f), k.epoch(u.ID)))
		}
		return u
	}
	s.rules(t, map[string]func(*kit){
		"round_trip: a link comes back as it was stored, with its account and the current epoch": func(k *kit) {
			u := linked(k)
			given := linkOf(u.ID, "7")
			given.Created = born.In(time.FixedZone("", 60))
			k.must(k.s.CreateLink(k.ctx, given, k.epoch(u.ID)))
			epoch, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			u.Epoch = epoch
			got, owner, err := k.s.LinkOf(k.ctx, linkIssuer, "7")
			if err != nil || !reflect.DeepEqual(got, linkOf(u.ID, "7")) || !isOwner(owner.Leased(nil), u) {
				k.Errorf("got %+v of %+v, %v", got, owner, err)
			}
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			if _, owner, err := k.s.LinkOf(k.ctx, linkIssuer, "7"); err != nil || owner.Active {
				k.Errorf("got %+v, %v: a disabled account is returned as disabled", owner, err)
			}
		},
		"attack_foreign_key: the key is issuer and subject, byte for byte": func(k *kit) {
			u := linked(k, "7")
			for _, other := range [][2]string{{linkIssuer + "/", "7"}, {strings.ToUpper(linkIssuer), "7"}, {linkIssuer, "7 "}, {linkIssuer, "07"}, {linkIssuer + "7", ""}, {"", linkIssuer + "7"}, {"https://login.exampl", "e7"}, {linkIssuer, u.ID}, {linkIssuer, u.Email}, {linkIssuer, "7\x00"}, {"\xff", "7"}} {
				gone(k, other[0], other[1], fmt.Sprintf("another key: %q", other))
			}
			bob := k.add("bob")
			other := linkOf(bob.ID, "7")
			other.Issuer = "https://other.example"
			k.must(k.s.CreateLink(k.ctx, other, k.epoch(bob.ID)))
			if got, owner, err := k.s.LinkOf(k.ctx, linkIssuer, "7"); err != nil || got.Subject != u.ID || owner.ID != u.ID {
				k.Errorf("got %+v, %v: the same subject of another issuer is another user", got, err)
			}
		},
		"taken: a user of an issuer has one account, and an account can have several links": func(k *kit) {
			u, bob := linked(k, "7", "8"), k.add("bob")
			second := linkOf(bob.ID, "7")
			second.ID = "another"
			k.is(k.s.CreateLink(k.ctx, second, k.epoch(bob.ID)), storage.ErrConflict, "linked to another account")
			second.Subject = u.ID
			k.is(k.s.CreateLink(k.ctx, second, k.epoch(u.ID)), storage.ErrConflict, "linked to this account")
			second = linkOf(u.ID, "9")
			second.ID = "link-8"
			k.is(k.s.CreateLink(k.ctx, second, k.epoch(u.ID)), storage.ErrConflict, "the ID is taken")
			if list, err := k.s.ListLinks(k.ctx, u.ID); err != nil || !reflect.DeepEqual(list, []storage.Link{linkOf(u.ID, "7"), linkOf(u.ID, "8")}) {
				k.Errorf("got %+v, %v", list, err)
			}
			if list, err := k.s.ListLinks(k.ctx, bob.ID); err != nil || len(list) != 0 {
				k.Errorf("got %+v, %v", list, err)
			}
		},
		"refused: a link that cannot be stored is refused with ErrInvalid": func(k *kit) {
			u := linked(k)
			for what, change := range map[string]func(*storage.Link){
				"issuer": func(l *storage.Link) { l.Issuer = "" }, "foreign": func(l *storage.Link) { l.Foreign = "a\x00" }, "id": func(l *storage.Link) { l.ID = "" },
				"subject": func(l *storage.Link) { l.Subject = "\xff" }, "long": func(l *storage.Link) { l.Foreign = strings.Repeat("a", storage.MaxIDBytes+1) },
			} {
				l := linkOf(u.ID, "7")
				change(&l)
				k.is(k.s.CreateLink(k.ctx, l, k.epoch(u.ID)), storage.ErrInvalid, what)
			}
		},
		"stale: a link to an account that is absent, disabled or changed gets ErrStale": func(k *kit) {
			u := linked(k)
			before := k.epoch(u.ID)
			k.is(k.s.CreateLink(k.ctx, linkOf("nobody", "7"), 0), storage.ErrStale, "there is no such account")
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.is(k.s.CreateLink(k.ctx, linkOf(u.ID, "7"), before), storage.ErrStale, "the epoch moved")
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			k.is(k.s.CreateLink(k.ctx, linkOf(u.ID, "7"), k.epoch(u.ID)), storage.ErrStale, "the account is disabled")
			gone(k, linkIssuer, "7", "nothing was stored")
		},
		"limit: an account has at most MaxLinks links": func(k *kit) {
			u := linked(k)
			for i := range storage.MaxLinks {
				k.must(k.s.CreateLink(k.ctx, linkOf(u.ID, fmt.Sprint(i)), k.epoch(u.ID)))
			}
			k.is(k.s.CreateLink(k.ctx, linkOf(u.ID, "more"), k.epoch(u.ID)), storage.ErrLimit, "one more")
			gone(k, linkIssuer, "more", "nothing was stored")
		},
		"delete: deleting a link revokes the credentials of its account": func(k *kit) {
			u, bob := linked(k, "7", "8"), k.add("bob")
			k.is(k.s.DeleteLink(k.ctx, bob.ID, "link-7"), storage.ErrNotFound, "the link of another account")
			before := k.epoch(u.ID)
			k.must(k.s.DeleteLink(k.ctx, u.ID, "link-7"))
			gone(k, linkIssuer, "7", "it was deleted")
			if now := k.epoch(u.ID); now <= before {
				k.Errorf("epoch %d, then %d: what the link opened lives on", before, now)
			}
			k.is(k.s.DeleteLink(k.ctx, u.ID, "link-7"), storage.ErrNotFound, "deleted already")
			k.is(k.s.DeleteLink(k.ctx, "a\x00", "link-8"), storage.ErrNotFound, "no subject")
			k.is(k.s.DeleteLink(k.ctx, u.ID, ""), storage.ErrNotFound, "no ID")
			if _, _, err := k.s.LinkOf(k.ctx, linkIssuer, "8"); err != nil {
				k.Errorf("%v: another link stays", err)
			}
			k.must(k.s.CreateLink(k.ctx, linkOf(bob.ID, "7"), k.epoch(bob.ID)))
			if l, _, err := k.s.LinkOf(k.ctx, linkIssuer, "7"); err != nil || l.Subject != bob.ID {
				k.Errorf("got %+v, %v: the user can be linked again", l, err)
			}
		},
		"goes_with_the_account: deleting the account deletes its links": func(k *kit) {
			k.owns(Accounts)
			u := linked(k, "7")
			k.must(k.s.DeleteUser(k.ctx, u.ID))
			gone(k, linkIssuer, "7", "its account was deleted")
			bob := k.add("bob")
			k.must(k.s.CreateLink(k.ctx, linkOf(bob.ID, "7"), k.epoch(bob.ID)))
		},
		"stays: a new password and a logout everywhere keep the links": func(k *kit) {
			k.owns(Accounts)
			u := linked(k, "7")
			k.must(k.s.SetPassword(k.ctx, u.ID, "new"))
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			_, _, err = k.s.LinkOf(k.ctx, linkIssuer, "7")
			k.is(err, nil, "a link is no credential")
		},
		"rolls_back: a rollback takes a link back": func(k *kit) {
			k.needs(Transactor)
			u := linked(k)
			stop := errors.New("stop")
			k.is(k.s.InTx(k.ctx, func(ctx context.Context) error {
				return errors.Join(k.s.CreateLink(ctx, linkOf(u.ID, "7"), k.epochIn(ctx, u.ID)), stop)
			}), stop, "passed on")
			gone(k, linkIssuer, "7", "the transaction was rolled back")
		},
		"one_wins: of concurrent links of one user of an issuer one is created": func(k *kit) {
			var list []storage.User
			for i := range 8 {
				list = append(list, k.add(fmt.Sprint("user", i)))
			}
			epoch := k.epoch(list[0].ID)
			k.oneWins(race(func(i int) error {
				l := linkOf(list[i%8].ID, "7")
				l.ID = fmt.Sprint(i)
				return k.s.CreateLink(k.ctx, l, epoch)
			}), storage.ErrConflict, "links of one user")
		},
		"beside_the_end_of_the_account: no link stays of an account that is deleted at the same time": func(k *kit) {
			k.owns(Accounts)
			u := linked(k)
			epoch := k.epoch(u.ID)
			for i, err := range race(func(i int) error {
				if i%8 == 7 {
					return k.s.DeleteUser(k.ctx, u.ID)
				}
				return k.s.CreateLink(k.ctx, linkOf(u.ID, fmt.Sprint(i)), epoch)
			}) {
				if err != nil && !errors.Is(err, storage.ErrStale) && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrLimit) {
					k.Errorf("%d: %v", i, err)
				}
			}
			if list, err := k.s.ListLinks(k.ctx, u.ID); err != nil || len(list) != 0 {
				k.Errorf("got %+v, %v: its account was deleted", list, err)
			}
		},
	})
}

func (k *kit) epochIn(ctx context.Context, subject string) int64 {
	k.Helper()
	n, err := k.s.SubjectEpoch(ctx, subject)
	k.must(err)
	return n
}
