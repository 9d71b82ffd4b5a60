package storagetest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// session returns a session. n is its number among those of a subject, and their order.
func session(subject string, epoch int64, n int) storage.Session {
	v := storage.Session{
		Digest: storage.DigestOf(fmt.Sprintf("session %s %d", subject, n)), ID: fmt.Sprintf("session-%s-%04d", subject, n), Subject: subject,
		Epoch: epoch, Data: []byte{1, 0, 0xff, byte(n)}, Version: 1, Created: born, LastSeen: born.Add(time.Duration(n) * time.Second),
		Expires: born.Add(24 * time.Hour), Ends: born.Add(30 * 24 * time.Hour), UserAgent: "Mozilla/5.0 (näh)", Address: "2001:db8::1",
	}
	if subject != "" {
		v.AuthTime, v.ACR, v.AMR = born.Add(time.Second), "urn:example:mfa", []string{"pwd", "otp"}
	}
	return v
}

// none is the digest that replaces no session.
var none storage.Digest

// sit stores a session. The subject "" means an anonymous session.
func (k *kit) sit(subject string, n int) storage.Session {
	k.Helper()
	var epoch int64
	if subject != "" {
		epoch = k.epoch(subject)
	}
	v := session(subject, epoch, n)
	k.must(k.s.CreateSession(k.ctx, v, none))
	return v
}

// seatsOf returns the IDs that ListSessions returns for the subject.
func (k *kit) seatsOf(subject string) (ids []string) {
	k.Helper()
	list, err := k.s.ListSessions(k.ctx, subject, 1000)
	k.must(err)
	for _, v := range list {
		ids = append(ids, v.ID)
	}
	return ids
}

// usableSession reports whether a scheme would accept the session.
func (k *kit) usableSession(d storage.Digest) bool {
	k.Helper()
	v, u, err := k.s.SessionByDigest(k.ctx, d)
	if err != nil {
		k.is(err, storage.ErrNotFound, "a session is there or absent")
		return false
	}
	return v.Subject == "" || u.Active && v.Epoch == u.Epoch
}

func sessions(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"round_trip: a session comes back as it was stored, with its account; a list omits the data": func(k *kit) {
			u := k.add("alice")
			want := k.sit(u.ID, 1)
			got, owner, err := k.s.SessionByDigest(k.ctx, want.Digest)
			k.must(err)
			if !reflect.DeepEqual(got, want) || !isOwner(owner, u) {
				k.Errorf("got %+v of %+v, want %+v of %+v", got, owner, want, u)
			}
			list, err := k.s.ListSessions(k.ctx, u.ID, 10)
			k.must(err)
			want.Data = nil
			if len(list) != 1 || !reflect.DeepEqual(list[0], want) {
				k.Errorf("got %+v, want %+v: without data", list, want)
			}
		},
		"of_nobody: an anonymous session has no account, is not listed, and is ended by its digest only": func(k *kit) {
			want := k.sit("", 1)
			got, owner, err := k.s.SessionByDigest(k.ctx, want.Digest)
			k.must(err)
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(owner, storage.User{}) {
				k.Errorf("got %+v of %+v, want %+v of nobody", got, owner, want)
			}
			if ids := k.seatsOf(""); len(ids) != 0 {
				k.Errorf("nobody lists %q", ids)
			}
			if !k.has(SessionList) {
				return
			}
			k.is(k.s.DeleteSessionOf(k.ctx, "", want.ID), storage.ErrNotFound, "nobody has no sessions")
			n, err := k.s.DeleteSessionsOf(k.ctx, "", "")
			if n != 0 || err != nil || !k.usableSession(want.Digest) {
				k.Errorf("nobody's sessions: %d ended, %v", n, err)
			}
		},
		"absent: what is absent gets ErrNotFound, and no call creates it": func(k *kit) {
			d := storage.DigestOf("absent")
			_, _, err := k.s.SessionByDigest(k.ctx, d)
			k.is(err, storage.ErrNotFound, "no such session")
			k.is(k.s.SaveSession(k.ctx, d, 1, nil), storage.ErrNotFound, "a save makes none")
			k.is(k.s.DeleteSession(k.ctx, d), storage.ErrNotFound, "there was none")
			if ok, err := k.s.TouchSession(k.ctx, d, born, born, born); ok || err != nil {
				k.Errorf("touched: %t, %v", ok, err)
			}
			_, _, err = k.s.SessionByDigest(k.ctx, d)
			k.is(err, storage.ErrNotFound, "still no such session")
		},
		"save: a save of the present version replaces the data; another version gets ErrConflict": func(k *kit) {
			v := k.sit(k.add("alice").ID, 1)
			k.must(k.s.SaveSession(k.ctx, v.Digest, 1, []byte("two")))
			k.is(k.s.SaveSession(k.ctx, v.Digest, 1, []byte("lost")), storage.ErrConflict, "the version is another")
			k.is(k.s.SaveSession(k.ctx, v.Digest, 2, make([]byte, storage.MaxSessionDataBytes+1)), storage.ErrInvalid, "too long")
			got, _, err := k.s.SessionByDigest(k.ctx, v.Digest)
			k.must(err)
			v.Data, v.Version = []byte("two"), 2
			if !reflect.DeepEqual(got, v) {
				k.Errorf("got %+v, want %+v: data and version alone change", got, v)
			}
			long := bytes.Repeat([]byte{7}, storage.MaxSessionDataBytes)
			k.must(k.s.SaveSession(k.ctx, v.Digest, 2, long))
			k.must(k.s.SaveSession(k.ctx, v.Digest, 3, nil))
			if got, _, err = k.s.SessionByDigest(k.ctx, v.Digest); err != nil || len(got.Data) != 0 || got.Version != 4 {
				k.Errorf("got %+v, %v: no data, version 4", got, err)
			}
		},
		"version_begins_at_1: a new session has version 1": func(k *kit) {
			v := session("", 0, 1)
			v.Version = 17
			k.must(k.s.CreateSession(k.ctx, v, none))
			if got, _, err := k.s.SessionByDigest(k.ctx, v.Digest); err != nil || got.Version != 1 {
				k.Errorf("got %+v, %v", got, err)
			}
		},
		"replaces: a new session replaces an old one in one change, and a failure changes nothing": func(k *kit) {
			u := k.add("alice")
			old := k.sit("", 1)
			k.must(k.s.CreateSession(k.ctx, session(u.ID, 0, 2), old.Digest))
			if k.usableSession(old.Digest) || !k.usableSession(session(u.ID, 0, 2).Digest) {
				k.Error("the new one takes the place of the old one")
			}
			k.is(k.s.CreateSession(k.ctx, session(u.ID, 0, 3), old.Digest), storage.ErrNotFound, "the old one has ended")
			k.is(k.s.CreateSession(k.ctx, session(u.ID, 17, 3), session(u.ID, 0, 2).Digest), storage.ErrStale, "another epoch")
			if !k.usableSession(session(u.ID, 0, 2).Digest) || k.usableSession(session(u.ID, 0, 3).Digest) {
				k.Error("a failure changes nothing")
			}
		},
		"attack_448_replaces_the_version_that_was_read: another version gets ErrConflict and changes nothing, and version 0 replaces any": func(k *kit) {
			u := k.add("alice")
			old := k.sit(u.ID, 1)
			k.must(k.s.SaveSession(k.ctx, old.Digest, 1, []byte("two")))
			next := session(u.ID, 0, 2)
			next.ID = old.ID
			for _, next.Version = range []int64{1, 3} {
				k.is(k.s.CreateSession(k.ctx, next, old.Digest), storage.ErrConflict, "the version is another")
			}
			if got, _, err := k.s.SessionByDigest(k.ctx, old.Digest); err != nil || string(got.Data) != "two" || got.Version != 2 || k.usableSession(next.Digest) {
				k.Errorf("got %+v, %v: a failure changes nothing", got, err)
			}
			next.Version = 2
			k.must(k.s.CreateSession(k.ctx, next, old.Digest))
			if got, _, err := k.s.SessionByDigest(k.ctx, next.Digest); err != nil || got.Version != 1 || k.usableSession(old.Digest) {
				k.Errorf("got %+v, %v: version 1, and the old one has ended", got, err)
			}
			k.is(k.s.CreateSession(k.ctx, session(u.ID, 0, 3), old.Digest), storage.ErrNotFound, "no version is left")
			k.must(k.s.SaveSession(k.ctx, next.Digest, 1, []byte("three")))
			last := session(u.ID, 0, 3)
			last.Version = 0
			k.must(k.s.CreateSession(k.ctx, last, next.Digest))
			if k.usableSession(next.Digest) || !k.usableSession(last.Digest) {
				k.Error("version 0 replaces any")
			}
		},
		"replaces_with_its_id: a new session can keep the ID of the one that it replaces; other IDs and digests are taken once": func(k *kit) {
			u := k.add("alice")
			old := k.sit(u.ID, 1)
			next := session(u.ID, 0, 2)
			next.ID = old.ID
			k.must(k.s.CreateSession(k.ctx, next, old.Digest))
			if ids := k.seatsOf(u.ID); !slices.Equal(ids, []string{old.ID}) {
				k.Errorf("got %q", ids)
			}
			other := session(u.ID, 0, 3)
			other.ID = old.ID
			k.is(k.s.CreateSession(k.ctx, other, none), storage.ErrConflict, "the ID is taken")
			other.ID, other.Digest = "free", next.Digest
			k.is(k.s.CreateSession(k.ctx, other, none), storage.ErrConflict, "the digest is taken")
			k.sit("", 9)
			k.is(k.s.CreateSession(k.ctx, other, session("", 0, 9).Digest), storage.ErrConflict, "the digest is that of a third one")
			if !k.usableSession(session("", 0, 9).Digest) {
				k.Error("a failure ends nothing")
			}
		},
		"stale: a session of a subject that is absent, disabled or of another epoch gets ErrStale": func(k *kit) {
			u := k.add("alice")
			k.is(k.s.CreateSession(k.ctx, session("id-nobody", 0, 1), none), storage.ErrStale, "no such account")
			k.is(k.s.CreateSession(k.ctx, session(u.ID, 1, 1), none), storage.ErrStale, "another epoch")
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.is(k.s.CreateSession(k.ctx, session(u.ID, 0, 1), none), storage.ErrStale, "an earlier epoch")
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			k.is(k.s.CreateSession(k.ctx, session(u.ID, k.epoch(u.ID), 1), none), storage.ErrStale, "disabled")
		},
		"invalid: a session that cannot be kept is refused with ErrInvalid": func(k *kit) {
			u := k.add("alice")
			for name, spoil := range map[string]func(*storage.Session){
				"no id": func(v *storage.Session) { v.ID = "" }, "NUL in the id": func(v *storage.Session) { v.ID = "a\x00" },
				"user agent": func(v *storage.Session) { v.UserAgent = "\xff" }, "address": func(v *storage.Session) { v.Address = strings.Repeat("a", storage.MaxIDBytes+1) },
				"no digest": func(v *storage.Session) { v.Digest = none }, "no end": func(v *storage.Session) { v.Ends = time.Time{} },
				"no expiry": func(v *storage.Session) { v.Expires = time.Time{} }, "expiry after the end": func(v *storage.Session) { v.Expires = v.Ends.Add(1000) },
				"data": func(v *storage.Session) { v.Data = make([]byte, storage.MaxSessionDataBytes+1) }, "subject": func(v *storage.Session) { v.Subject = "\xff" },
			} {
				v := session(u.ID, 0, 1)
				spoil(&v)
				k.is(k.s.CreateSession(k.ctx, v, none), storage.ErrInvalid, name)
			}
			if ids := k.seatsOf(u.ID); len(ids) != 0 {
				k.Errorf("%q are there", ids)
			}
		},
		"touch: a use moves LastSeen and Expires forward only, never beyond Ends, and not once the session has expired": func(k *kit) {
			v := k.sit(k.add("alice").ID, 0)
			touch, expect := k.touching(v)
			const day = 24 * time.Hour
			touch(time.Hour, 25*time.Hour, -time.Microsecond, false, "seen later than before")
			expect(0, day)
			touch(time.Hour, 25*time.Hour, 0, true, "seen at before")
			expect(time.Hour, 25*time.Hour)
			touch(2*time.Hour, time.Hour, time.Hour, true, "the end does not move back")
			expect(2*time.Hour, 25*time.Hour)
			touch(25*time.Hour, 50*time.Hour, 3*time.Hour, false, "expired at that moment")
			expect(2*time.Hour, 25*time.Hour)
			touch(3*time.Hour, 60*day, 3*time.Hour, true, "not beyond the end")
			expect(3*time.Hour, 30*day)
			touch(30*day, 31*day, 4*time.Hour, false, "at the end")
		},
		"attack_331_touch: a use by a clock that was ahead is corrected, with the end that it moved": func(k *kit) {
			v := k.sit(k.add("alice").ID, 0)
			touch, expect := k.touching(v)
			const day = 24 * time.Hour
			touch(time.Hour, 2*day, 0, true, "ahead")
			touch(time.Minute, day, 59*time.Minute, false, "seen later than before")
			expect(time.Hour, 2*day)
			touch(time.Minute, day+time.Minute, time.Hour, true, "seen at before")
			expect(time.Minute, day+time.Minute)
			touch(time.Minute, 3*day, time.Hour, false, "corrected already")
			touch(2*time.Minute, 3*day, time.Hour, false, "not ahead")
			expect(time.Minute, day+time.Minute)
			touch(2*time.Hour, 60*day, time.Hour, true, "an ordinary use")
			expect(2*time.Hour, 30*day)
			touch(time.Hour, 60*day, 2*time.Hour, true, "not beyond the end")
			expect(time.Hour, 30*day)
			touch(30*day, 31*day, 31*day, false, "at the end")
		},
	})
}

// touching returns a function that touches the session, with times relative to born, and a function
// that compares it.
func (k *kit) touching(v storage.Session) (touch func(seen, expires, before time.Duration, want bool, why string), expect func(seen, expires time.Duration)) {
	touch = func(seen, expires, before time.Duration, want bool, why string) {
		k.Helper()
		if got, err := k.s.TouchSession(k.ctx, v.Digest, born.Add(seen), born.Add(expires), born.Add(before)); err != nil || got != want {
			k.Errorf("touched %t, %v: %s", got, err, why)
		}
	}
	expect = func(seen, expires time.Duration) {
		k.Helper()
		got, _, err := k.s.SessionByDigest(k.ctx, v.Digest)
		k.must(err)
		v.LastSeen, v.Expires = born.Add(seen), born.Add(expires)
		if !reflect.DeepEqual(got, v) {
			k.Errorf("got %+v, want %+v", got, v)
		}
	}
	return touch, expect
}
