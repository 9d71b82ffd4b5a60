package storagetest

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func sessionRaces(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"attack_119_no_save_is_lost: of saves of one version one succeeds, so that no change is lost": func(k *kit) {
			v := k.sit(k.add("alice").ID, 1)
			for _, err := range race(func(i int) error {
				for {
					got, _, err := k.s.SessionByDigest(k.ctx, v.Digest)
					if err != nil {
						return err
					}
					err = k.s.SaveSession(k.ctx, v.Digest, got.Version, append(got.Data, byte(i)))
					if !errors.Is(err, storage.ErrConflict) {
						return err
					}
				}
			}) {
				k.must(err)
			}
			got, _, err := k.s.SessionByDigest(k.ctx, v.Digest)
			k.must(err)
			if len(got.Data) != len(v.Data)+together || got.Version != 1+together {
				k.Errorf("%d bytes, version %d: each save counts", len(got.Data), got.Version)
			}
		},
		"attack_448_save_or_replace: the session that replaces another has every save that succeeded": func(k *kit) {
			u := k.add("alice")
			for round := range 2 {
				old, next := k.sit(u.ID, 1000+round), session(u.ID, 0, round)
				saved := make([]bool, together)
				var began, saves sync.Once
				read, after := make(chan struct{}), make(chan struct{}) // so that a save always comes between
				for _, err := range race(func(i int) error {
					if i > together/2 {
						<-read
						defer saves.Do(func() { close(after) })
					}
					for {
						got, _, err := k.s.SessionByDigest(k.ctx, old.Digest)
						if i == together/2 {
							began.Do(func() { close(read) })
						}
						if err == nil && i == together/2 {
							<-after
							next.Data, next.Version = got.Data, got.Version
							err = k.s.CreateSession(k.ctx, next, old.Digest)
						} else if err == nil {
							err = k.s.SaveSession(k.ctx, old.Digest, got.Version, append(got.Data, byte(i)))
							saved[i] = err == nil
						}
						switch {
						case errors.Is(err, storage.ErrConflict): // another save was first
						case errors.Is(err, storage.ErrNotFound) && i != together/2: // replaced
							return nil
						default:
							return err
						}
					}
				}) {
					k.must(err)
				}
				got, _, err := k.s.SessionByDigest(k.ctx, next.Digest)
				k.must(err)
				for i := range saved {
					if has := bytes.IndexByte(got.Data[len(old.Data):], byte(i)) >= 0; has != saved[i] {
						k.Errorf("save %d: acknowledged %t, kept %t", i, saved[i], has)
					}
				}
			}
		},
		"attack_120_ended_stays_ended: neither a save nor a use brings an ended session back": func(k *kit) {
			v := k.sit(k.add("alice").ID, 1)
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.DeleteSession(k.ctx, v.Digest)
				}
				err := k.s.SaveSession(k.ctx, v.Digest, 1, []byte("mine"))
				if i%2 == 0 {
					_, err = k.s.TouchSession(k.ctx, v.Digest, born.Add(time.Hour), born.Add(48*time.Hour), born.Add(time.Minute))
				}
				if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrConflict) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			if k.usableSession(v.Digest) || len(k.seatsOf(v.Subject)) != 0 {
				k.Error("the session is back")
			}
		},
		"one_replaces: of sessions that replace one session one is created": func(k *kit) {
			u := k.add("alice")
			old := k.sit("", 1)
			k.oneWins(race(func(i int) error {
				return k.s.CreateSession(k.ctx, session(u.ID, 0, i), old.Digest)
			}), storage.ErrNotFound, "sessions that replace one")
			if n := len(k.seatsOf(u.ID)); n != 1 {
				k.Errorf("%d are there", n)
			}
		},
		"end_or_replace: a session is ended or replaced once": func(k *kit) {
			u := k.add("alice")
			for round := range 8 {
				old := k.sit(u.ID, 1000+round)
				k.oneWins(race(func(i int) error {
					if i%2 == 0 {
						return k.s.DeleteSession(k.ctx, old.Digest)
					}
					return k.s.CreateSession(k.ctx, session(u.ID, 0, round*together+i), old.Digest)
				}), storage.ErrNotFound, "who end or replace one session")
			}
		},
		"bump: no session of the earlier epoch is usable after the epoch moved, whatever the order": func(k *kit) {
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					_, err := k.s.BumpEpoch(k.ctx, u.ID)
					return err
				}
				err := k.s.CreateSession(k.ctx, session(u.ID, 0, i), none)
				if errors.Is(err, storage.ErrStale) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			for i := range together {
				if k.usableSession(session(u.ID, 0, i).Digest) {
					k.Errorf("session %d of the earlier epoch is usable", i)
				}
			}
		},
		"disabled: no session of before is usable after the subject was disabled, also once it is enabled again": func(k *kit) {
			u := k.add("alice")
			for _, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.SetActive(k.ctx, u.ID, false)
				}
				err := k.s.CreateSession(k.ctx, session(u.ID, 0, i), none)
				if errors.Is(err, storage.ErrStale) {
					return nil
				}
				return err
			}) {
				k.must(err)
			}
			k.must(k.s.SetActive(k.ctx, u.ID, true))
			for i := range together {
				if k.usableSession(session(u.ID, 0, i).Digest) {
					k.Errorf("session %d of before is usable", i)
				}
			}
		},
		"touch_once: of concurrent uses one is written": func(k *kit) {
			v := k.sit(k.add("alice").ID, 0)
			touched := make([]bool, together)
			for _, err := range race(func(i int) (err error) {
				touched[i], err = k.s.TouchSession(k.ctx, v.Digest, born.Add(time.Duration(i+1)*time.Second), born.Add(48*time.Hour), born)
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
				k.Errorf("%d wrote", n)
			}
		},
		"end_all: DeleteSessionsOf beside new logins ends all earlier sessions except the one to keep": func(k *kit) {
			k.needs(SessionList)
			u := k.add("alice")
			keep := k.sit(u.ID, 5000)
			for n := range 20 {
				k.sit(u.ID, n)
			}
			for _, err := range race(func(i int) error {
				if i%8 == 0 {
					_, err := k.s.DeleteSessionsOf(k.ctx, u.ID, keep.ID)
					return err
				}
				return k.s.CreateSession(k.ctx, session(u.ID, 0, 100+i), none)
			}) {
				k.must(err)
			}
			for n := range 20 {
				if k.usableSession(session(u.ID, 0, n).Digest) {
					k.Errorf("session %d is usable", n)
				}
			}
			if !k.usableSession(keep.Digest) {
				k.Error("the one to be kept has ended")
			}
		},
		"attack_288_end_all_renamed: DeleteSessionsOf beside a change of a session's digest leaves no session of its ID": func(k *kit) {
			k.needs(SessionList)
			k.chaseSessions(func(u string, _ storage.Session) error {
				_, err := k.s.DeleteSessionsOf(k.ctx, u, "")
				return err
			})
		},
		"attack_288_end_renamed: DeleteSessionOf beside a change of a session's digest leaves no session of its ID": func(k *kit) {
			k.needs(SessionList)
			k.chaseSessions(func(u string, v storage.Session) error {
				err := k.s.DeleteSessionOf(k.ctx, u, v.ID)
				if errors.Is(err, storage.ErrNotFound) { // another call was first
					err = nil
				}
				return err
			})
		},
	})
}

// chaseSessions gives a session another digest, as a login does, while end deletes it.
func (k *kit) chaseSessions(end func(subject string, v storage.Session) error) {
	k.Helper()
	u := k.add("alice")
	for round := range 150 {
		old := k.sit(u.ID, 2*round)
		next := session(u.ID, 0, 2*round+1)
		next.ID = old.ID
		for i, err := range race(func(i int) error {
			if i == together/2 {
				return k.s.CreateSession(k.ctx, next, old.Digest)
			}
			if i == together/2+1 { // one call, because several could hide the error of one
				return end(u.ID, old)
			}
			return nil
		}) {
			if err != nil && (i != together/2 || !errors.Is(err, storage.ErrNotFound)) {
				k.Errorf("%d: %v", i, err)
			}
		}
		if k.usableSession(next.Digest) {
			k.Errorf("round %d: the session is usable by its new digest", round)
		}
	}
}
