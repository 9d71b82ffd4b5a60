package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// A Redis that fails leads to errors, never to an answer, and is used again once it works.
func TestFaults(t *testing.T) {
	for what, fault := range map[string]func(t *testing.T, r *redistest.Server) (heal func()){
		"killed": func(_ *testing.T, r *redistest.Server) func() { r.Kill(); return r.Restart },
		"paused": func(_ *testing.T, r *redistest.Server) func() { r.Pause(); return r.Resume },
		"full": func(t *testing.T, r *redistest.Server) func() {
			c := r.Client()
			must(t, c.ConfigSet(t.Context(), "maxmemory", "1").Err())
			return func() { must(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err()) }
		},
		"read_only": func(t *testing.T, r *redistest.Server) func() {
			c := r.Client()
			must(t, c.Do(t.Context(), "replicaof", "192.0.2.1", "1").Err())
			return func() { must(t, c.Do(t.Context(), "replicaof", "no", "one").Err()) }
		},
	} {
		t.Run("attack_219_"+what, func(t *testing.T) {
			t.Parallel()
			r := redistest.Start(t)
			s, err := redisstore.New(r.Client(), &redisstore.Options{Prefix: prefix(), Timeout: time.Second})
			must(t, err)
			base := memory.New(nil)
			sessions, err := redisstore.NewSessions(s, base)
			must(t, err)
			now := time.Now().Truncate(time.Microsecond)
			v := anonymous("a", now)
			must(t, sessions.CreateSession(t.Context(), v, storage.Digest{}))

			heal := fault(t, r)
			reads := what == "full" || what == "read_only" // these answer, and what they say is true
			calls := map[string]func(ctx context.Context) error{
				"TakeUnits": func(ctx context.Context) error {
					o, err := s.TakeUnits(ctx, storage.LimitKey{}, [][]storage.LimitCell{{cell("a", 5, time.Hour)}})
					if o.Plan >= 0 {
						t.Error("a unit was taken")
					}
					return err
				},
				"ConsumeJTI": func(ctx context.Context) error {
					return s.ConsumeJTI(ctx, storage.BlockKeyOf(storage.ReplayProof, "", "a"), now, now.Add(time.Minute))
				},
				"PutMark": func(ctx context.Context) error {
					return s.PutMark(ctx, now, key("a"), storage.LimitMark{Member: key("b"), Seen: now}, 8, time.Hour)
				},
				"CreateSession": func(ctx context.Context) error {
					return sessions.CreateSession(ctx, anonymous("b", now), v.Digest)
				},
				"SaveSession": func(ctx context.Context) error { return sessions.SaveSession(ctx, v.Digest, 1, []byte("x")) },
				"TouchSession": func(ctx context.Context) error {
					ok, err := sessions.TouchSession(ctx, v.Digest, now.Add(time.Minute), now.Add(2*time.Hour), now.Add(time.Minute))
					if ok {
						t.Error("a use was recorded")
					}
					return err
				},
			}
			if !reads {
				calls["SessionByDigest"] = func(ctx context.Context) error { _, _, err := sessions.SessionByDigest(ctx, v.Digest); return err }
				calls["Used"] = func(ctx context.Context) error {
					_, err := s.Used(ctx, storage.BlockKeyOf(storage.ReplayProof, "", "z"))
					return err
				}
				calls["MarksOf"] = func(ctx context.Context) error {
					_, err := s.MarksOf(ctx, now, []storage.LimitKey{key("a")})
					return err
				}
			}
			for name, call := range calls {
				isFault(t, name, call(t.Context()))
			}
			// No request waits for a Redis that does not answer.
			if err := calls["TakeUnits"](t.Context()); !reads && !strings.Contains(err.Error(), "calls fail for up to a second") {
				t.Errorf("the circuit is closed: %v", err)
			}
			if _, _, err := base.SessionByDigest(t.Context(), v.Digest); err != nil {
				t.Errorf("the session that was to be replaced: %v", err)
			}
			heal()
			if !redistest.Poll(t, func(ctx context.Context) bool {
				o, err := s.TakeUnits(ctx, storage.LimitKey{}, [][]storage.LimitCell{{cell("a", 1000, time.Hour)}})
				return err == nil && o.Plan == 0
			}) {
				t.Error("Redis is not used again")
			}
			_, _, err = sessions.SessionByDigest(t.Context(), v.Digest)
			if what == "killed" { // nothing is on disk
				if !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("a session without content: %v", err)
				}
			} else {
				must(t, err)
			}
		})
	}
}

// A caller that leaves, or that is in a hurry, says nothing about Redis.
func TestCallersThatLeave(t *testing.T) {
	r := redistest.Start(t)
	s, err := redisstore.New(r.Client(), &redisstore.Options{Prefix: prefix(), Timeout: time.Second})
	must(t, err)
	take(t, s, cell("a", 5, time.Hour))
	r.Pause()
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := s.TakeUnits(ctx, storage.LimitKey{}, [][]storage.LimitCell{{cell("a", 5, time.Hour)}})
		cancel()
		isFault(t, "TakeUnits", err)
	}
	r.Resume()
	if wait := take(t, s, cell("b", 5, time.Hour)); wait != 0 {
		t.Errorf("the circuit is open: %v", wait)
	}
}

// anonymous returns a session without a user.
func anonymous(name string, now time.Time) storage.Session {
	return storage.Session{
		Digest: storage.DigestOf(name), ID: "id-" + name, Data: []byte("data of " + name), Created: now, LastSeen: now,
		Expires: now.Add(time.Hour), Ends: now.Add(30 * 24 * time.Hour),
	}
}
