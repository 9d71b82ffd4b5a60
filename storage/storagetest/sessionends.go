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

func sessionEnds(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"end: EndSession deletes the session once, and a save does not bring it back": func(k *kit) {
			u := k.add("alice")
			v, other := k.sit(u.ID, 1), k.sit(u.ID, 2)
			k.must(k.s.DeleteSession(k.ctx, v.Digest))
			k.is(k.s.DeleteSession(k.ctx, v.Digest), storage.ErrNotFound, "ended already")
			k.is(k.s.SaveSession(k.ctx, v.Digest, 1, []byte("back")), storage.ErrNotFound, "a save brings nothing back")
			if k.usableSession(v.Digest) || !k.usableSession(other.Digest) {
				k.Error("the one ends, the other stays")
			}
		},
		"list_and_end_own: a subject lists and ends its own sessions, the last seen first, and nobody else's": func(k *kit) {
			k.needs(SessionList)
			a, b := k.add("alice"), k.add("bob")
			for n := range 3 {
				k.sit(a.ID, n)
			}
			bobs := k.sit(b.ID, 1)
			id := func(n int) string { return session(a.ID, 0, n).ID }
			if ids := k.seatsOf(a.ID); !slices.Equal(ids, []string{id(2), id(1), id(0)}) {
				k.Errorf("got %q: the last seen first", ids)
			}
			for limit, want := range map[int]int{-1: 0, 0: 0, 2: 2, 9: 3} {
				if list, err := k.s.ListSessions(k.ctx, a.ID, limit); err != nil || len(list) != want {
					k.Errorf("up to %d: %d, %v", limit, len(list), err)
				}
			}
			if c, ok := k.s.SessionList.(storage.SessionCount); ok {
				for subject, want := range map[string]int{a.ID: 3, b.ID: 1, "nobody": 0, "": 0, "a\x00": 0} {
					if n, err := c.CountSessions(k.ctx, subject); err != nil || n != want {
						k.Errorf("%q has %d, %v, want %d", subject, n, err, want)
					}
				}
			}
			k.is(k.s.DeleteSessionOf(k.ctx, a.ID, bobs.ID), storage.ErrNotFound, "another's session")
			k.is(k.s.DeleteSessionOf(k.ctx, a.ID, "a\x00b"), storage.ErrNotFound, "no ID")
			k.must(k.s.DeleteSessionOf(k.ctx, a.ID, id(1)))
			k.is(k.s.DeleteSessionOf(k.ctx, a.ID, id(1)), storage.ErrNotFound, "ended already")
			if n, err := k.s.DeleteSessionsOf(k.ctx, a.ID, id(0)); n != 1 || err != nil {
				k.Errorf("%d ended, %v", n, err)
			}
			if ids := k.seatsOf(a.ID); !slices.Equal(ids, []string{id(0)}) {
				k.Errorf("got %q: the one that was kept", ids)
			}
			if n, err := k.s.DeleteSessionsOf(k.ctx, a.ID, ""); n != 1 || err != nil || !k.usableSession(bobs.Digest) {
				k.Errorf("%d ended, %v; bob's stays", n, err)
			}
		},
		"by_id: SessionByID returns a session of the subject, without its data, and ErrNotFound for every other": func(k *kit) {
			k.needs(SessionList)
			a, b := k.add("alice"), k.add("bob")
			v, bobs, anonymous := k.sit(a.ID, 1), k.sit(b.ID, 1), k.sit("", 1)
			list, err := k.s.ListSessions(k.ctx, a.ID, 1)
			k.must(err)
			if got, err := k.s.SessionByID(k.ctx, a.ID, v.ID); err != nil || len(list) != 1 || !reflect.DeepEqual(got, list[0]) {
				k.Errorf("got %+v, %v, listed %+v", got, err, list)
			}
			absent := func(why, subject, id string) {
				k.Helper()
				got, err := k.s.SessionByID(k.ctx, subject, id)
				if k.is(err, storage.ErrNotFound, why); !reflect.DeepEqual(got, storage.Session{}) {
					k.Errorf("%s, and got %+v", why, got)
				}
			}
			absent("another's session", a.ID, bobs.ID)
			absent("a session without a user", a.ID, anonymous.ID)
			absent("a session without a user", "", anonymous.ID)
			for _, bad := range []string{"nobody", "", "a\x00", "\xff", strings.Repeat("x", 300)} {
				absent("no such ID", a.ID, bad)
				absent("no such subject", bad, v.ID)
			}
			_, err = k.s.BumpEpoch(k.ctx, a.ID)
			k.must(err)
			absent("its epoch is past", a.ID, v.ID)
		},
		"series: DeleteSeries deletes the subject's sessions whose ID begins with the series and a dot, but the one to keep": func(k *kit) {
			k.needs(SessionList)
			a, b := k.add("alice"), k.add("bob")
			sit := func(subject string, n int, id string) {
				v := session(subject, 0, n)
				v.ID = id
				k.must(k.s.CreateSession(k.ctx, v, none))
			}
			for n, id := range []string{"f.1", "f.2", "f.2.x", "f.", "f", "f-1", "f/1", "f1", "F.1", "fg.1", "_.1", "%.1"} {
				sit(a.ID, n, id)
			}
			sit(b.ID, 20, "f.3")
			left := func(want ...string) {
				k.Helper()
				if got := slices.Sorted(slices.Values(k.seatsOf(a.ID))); !slices.Equal(got, want) {
					k.Errorf("left %q, want %q", got, want)
				}
			}
			deletes := func(want int, series, keep string) {
				k.Helper()
				if n, err := k.s.DeleteSeries(k.ctx, a.ID, series, keep); n != want || err != nil {
					k.Errorf("%q but %q: %d deleted, %v", series, keep, n, err)
				}
			}
			for _, bad := range []string{"", "f.2", "f.", ".", "a\x00", "\xff", strings.Repeat("x", 300), "nobody"} {
				deletes(0, bad, "")
			}
			deletes(3, "f", "f.2")
			left("%.1", "F.1", "_.1", "f", "f-1", "f.2", "f/1", "f1", "fg.1")
			deletes(1, "f", "a\x00")
			deletes(0, "f", "")
			deletes(1, "_", "")
			deletes(1, "%", "")
			left("F.1", "f", "f-1", "f/1", "f1", "fg.1")
			for _, subject := range []string{"", "nobody", "a\x00"} {
				if n, err := k.s.DeleteSeries(k.ctx, subject, "f", ""); n != 0 || err != nil {
					k.Errorf("%q: %d deleted, %v", subject, n, err)
				}
			}
			if got := k.seatsOf(b.ID); !slices.Equal(got, []string{"f.3"}) {
				k.Errorf("bob has %q", got)
			}
		},
		"with_the_epoch: a session of an earlier epoch is neither usable nor listed": func(k *kit) {
			u := k.add("alice")
			v := k.sit(u.ID, 1)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			if k.usableSession(v.Digest) || len(k.seatsOf(u.ID)) != 0 {
				k.Error("usable or listed after a bump")
			}
		},
		"with_the_account: a new password, disabling and deletion end the subject's sessions and no anonymous ones": func(k *kit) {
			for i, end := range []func(id string) error{
				func(id string) error { return k.s.SetActive(k.ctx, id, false) },
				func(id string) error { return k.s.SetPassword(k.ctx, id, "new") },
				func(id string) error { return k.s.DeleteUser(k.ctx, id) },
				func(id string) error { return k.s.DeleteSubject(k.ctx, id) },
			} {
				u := k.add(fmt.Sprint("user", i))
				v, anonymous := k.sit(u.ID, 1), k.sit("", i)
				k.must(end(u.ID))
				if k.usableSession(v.Digest) || len(k.seatsOf(u.ID)) != 0 || !k.usableSession(anonymous.Digest) {
					k.Errorf("%d: usable or listed, or nobody's ended", i)
				}
			}
		},
		"prune: Prune deletes sessions that have expired and no others": func(k *kit) {
			k.needs(Pruner)
			u := k.add("alice")
			now := born.Add(time.Hour)
			for n, at := range []time.Time{now.Add(-time.Minute), now, now.Add(time.Microsecond)} {
				v := session(u.ID, 0, n)
				v.Expires = at
				k.must(k.s.CreateSession(k.ctx, v, none))
			}
			k.pruned(now, 10, 2)
			if ids := k.seatsOf(u.ID); !slices.Equal(ids, []string{session(u.ID, 0, 2).ID}) {
				k.Errorf("left %q: what has not ended", ids)
			}
		},
		"rolled_back: a rollback restores the session that was replaced": func(k *kit) {
			k.needs(Transactor)
			u := k.add("alice")
			old := k.sit(u.ID, 1)
			undo := errors.New("undo")
			err := k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(k.s.CreateSession(ctx, session(u.ID, 0, 2), old.Digest))
				k.must(k.s.SaveSession(ctx, session(u.ID, 0, 2).Digest, 1, []byte("x")))
				return undo
			})
			k.is(err, undo, "the function's error")
			if !k.usableSession(old.Digest) || k.usableSession(session(u.ID, 0, 2).Digest) {
				k.Error("the transaction left something")
			}
		},
	})
}
