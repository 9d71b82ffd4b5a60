package redisstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

var _ redisstore.Base = (*cached.Store)(nil)

// dump returns all content of a prefix, as a backup has it; restore writes it back.
func dump(t testing.TB, c redis.UniversalClient, prefix string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, k := range keysIn(t, c, prefix) {
		text, err := c.Dump(t.Context(), k).Result()
		must(t, err)
		all[k] = text
	}
	return all
}

func restore(t testing.TB, c redis.UniversalClient, all map[string]string) {
	t.Helper()
	for k, text := range all {
		must(t, c.RestoreReplace(t.Context(), k, time.Hour, text).Err())
	}
}

// login returns a session of a user who exists in db.
func login(t testing.TB, db storage.Users, name string, now time.Time) storage.Session {
	t.Helper()
	must(t, db.CreateUser(t.Context(), storage.User{ID: name, Name: name, Active: true}))
	v := anonymous("session of "+name, now)
	v.ID, v.Subject, v.AuthTime = "session-of-"+name, name, now
	return v
}

// A Redis that is restored from a backup, or that fails over, brings no session back.
func TestOldContent_attack_433(t *testing.T) {
	c := redistest.Start(t).Client()
	db := storetest.Postgres(t, nil)
	at := prefix()
	s := sessionsAt(t, c, db, at)
	now := time.Now().Truncate(time.Microsecond)
	for what, end := range map[string]func(v storage.Session) error{
		"logout": func(v storage.Session) error { return s.DeleteSession(t.Context(), v.Digest) },
		"one":    func(v storage.Session) error { return s.DeleteSessionOf(t.Context(), v.Subject, v.ID) },
		"all":    func(v storage.Session) error { _, err := s.DeleteSessionsOf(t.Context(), v.Subject, ""); return err },
		"everywhere": func(v storage.Session) error {
			_, err := storage.LogoutEverywhere(t.Context(), s, v.Subject)
			return err
		},
		"password": func(v storage.Session) error { return db.SetPassword(t.Context(), v.Subject, "new") },
		"disabled": func(v storage.Session) error { return db.SetActive(t.Context(), v.Subject, false) },
		"deleted":  func(v storage.Session) error { return db.DeleteUser(t.Context(), v.Subject) },
		"replaced": func(v storage.Session) error {
			return s.CreateSession(t.Context(), anonymous("next", now), v.Digest)
		},
	} {
		v := login(t, db, what, now)
		must(t, s.CreateSession(t.Context(), v, storage.Digest{}))
		must(t, s.SaveSession(t.Context(), v.Digest, 1, []byte("two")))
		backup := dump(t, c, at)
		if len(backup) == 0 {
			t.Fatal("nothing to restore")
		}
		must(t, end(v))
		restore(t, c, backup)
		got, u, err := s.SessionByDigest(t.Context(), v.Digest)
		if err == nil && u.Active && got.Epoch == u.Epoch || err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: the session is back: %+v of %+v, %v", what, got, u, err)
		}
		list, err := s.ListSessions(t.Context(), v.Subject, 10)
		if err != nil || len(list) != 0 {
			t.Errorf("%s: listed %+v, %v", what, list, err)
		}
		if errors.Is(db.DeleteSession(t.Context(), v.Digest), storage.ErrNotFound) { // else the row is there, of an earlier epoch
			if err := s.SaveSession(t.Context(), v.Digest, 2, []byte("mine")); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s: saved into a session that ended: %v", what, err)
			}
		}
	}
}

// A session whose content is gone is logged out, and not one without data.
func noContent(t *testing.T, client func() redis.UniversalClient) {
	c, db, at := client(), memory.New(nil), prefix()
	s := sessionsAt(t, c, db, at)
	now := time.Now()
	v := login(t, db, "alice", now)
	must(t, s.CreateSession(t.Context(), v, storage.Digest{}))
	for _, k := range keysIn(t, c, at) {
		must(t, c.Del(t.Context(), k).Err())
	}
	if _, _, err := s.SessionByDigest(t.Context(), v.Digest); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("found: %v", err)
	}
	if _, err := s.SessionByID(t.Context(), v.Subject, v.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("found by ID: %v", err)
	}
	if list, err := s.ListSessions(t.Context(), v.Subject, 10); err != nil || len(list) != 0 {
		t.Errorf("listed %+v, %v", list, err)
	}
	if err := s.SaveSession(t.Context(), v.Digest, 1, []byte("x")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("saved: %v", err)
	}
	if ok, err := s.TouchSession(t.Context(), v.Digest, now.Add(time.Minute), now.Add(time.Hour), now); ok || err != nil {
		t.Errorf("touched: %t, %v", ok, err)
	}
	if left := keysIn(t, c, at); len(left) != 0 {
		t.Errorf("content is back: %q", left)
	}
	if err := s.DeleteSession(t.Context(), v.Digest); !errors.Is(err, storage.ErrNotFound) { // the first use deleted the row
		t.Errorf("deleted: %v", err)
	}
}

// Content decides nothing: the user, the times of the login and of the absolute end, and the epoch
// are those of the database, whatever Redis has.
func TestWhatContentDecides_attack_435(t *testing.T) {
	c, db, at := redistest.Start(t).Client(), memory.New(nil), prefix()
	s := sessionsAt(t, c, db, at)
	now := time.Now().Truncate(time.Microsecond)
	v := login(t, db, "alice", now)
	must(t, s.CreateSession(t.Context(), v, storage.Digest{}))
	bobs := login(t, db, "bob", now.Add(-time.Hour))
	bobs.Ends = now.AddDate(1, 0, 0)
	must(t, s.CreateSession(t.Context(), bobs, storage.Digest{}))
	list := keysIn(t, c, at)
	if len(list) != 2 {
		t.Fatalf("keys %q", list)
	}
	must(t, c.HSet(t.Context(), list[0], "subject", "admin", "Subject", "admin", "auth_time", "1", "e", now.AddDate(9, 0, 0).UnixMicro(), "n", now.AddDate(9, 0, 0).UnixMicro()).Err())
	must(t, c.HSet(t.Context(), list[1], "e", now.AddDate(9, 0, 0).UnixMicro(), "n", now.AddDate(9, 0, 0).UnixMicro()).Err())
	for _, want := range []storage.Session{v, bobs} {
		got, u, err := s.SessionByDigest(t.Context(), want.Digest)
		must(t, err)
		if got.Subject != want.Subject || u.ID != want.Subject || !got.AuthTime.Equal(want.AuthTime) || !got.Created.Equal(want.Created) || !got.Ends.Equal(want.Ends) || got.Expires.After(want.Ends) || got.ID != want.ID {
			t.Errorf("got %+v of %+v, want %+v", got, u, want)
		}
	}
	must(t, c.HSet(t.Context(), list[0], "v", "junk").Err())
	must(t, c.HSet(t.Context(), list[1], "v", "junk").Err())
	_, _, err := s.SessionByDigest(t.Context(), v.Digest)
	isFault(t, "content that cannot be read", err)
}

// The database holds the row for longer than the session is valid, with few writes.
func TestRowsOutliveTheirSessions(t *testing.T) {
	c := redistest.Start(t).Client()
	db := storetest.Postgres(t, nil)
	s := sessionsOver(t, c, db)
	now := time.Now().Truncate(time.Microsecond)
	v := login(t, db, "alice", now)
	must(t, s.CreateSession(t.Context(), v, storage.Digest{}))
	rowOf := func() storage.Session {
		t.Helper()
		row, _, err := db.SessionByDigest(t.Context(), v.Digest)
		must(t, err)
		return row
	}
	if row := rowOf(); len(row.Data) != 0 {
		t.Errorf("data in the database: %q", row.Data)
	}
	writes, before := 0, rowOf()
	for now.Before(v.Ends) {
		seen := now
		now = now.Add(50 * time.Minute)
		if ok, err := s.TouchSession(t.Context(), v.Digest, now, now.Add(time.Hour), seen); err != nil || ok != now.Before(v.Ends) {
			t.Fatalf("%v after the login: touched %t, %v", now.Sub(v.Created), ok, err)
		}
		row := rowOf()
		if row.Expires != before.Expires {
			writes++
		}
		before = row
		got, _, err := s.SessionByDigest(t.Context(), v.Digest)
		must(t, err)
		if row.Expires.Before(got.Expires) || row.Expires.After(v.Ends) {
			t.Fatalf("the row expires at %v, the session at %v", row.Expires, got.Expires)
		}
		if want := now.Add(time.Hour); now.Before(v.Ends) && !got.Expires.Equal(want) && !got.Expires.Equal(v.Ends) {
			t.Fatalf("the session expires at %v, want %v", got.Expires, want)
		}
	}
	if uses := int(v.Ends.Sub(v.Created) / (50 * time.Minute)); writes == 0 || writes > uses/2 {
		t.Errorf("%d writes of %d uses", writes, uses)
	}
}

// A session that cannot be created takes nothing from the one that has its digest, and content that was
// left over is in nobody's way.
func TestDigestIsTaken(t *testing.T) {
	c, db, at := redistest.Start(t).Client(), memory.New(nil), prefix()
	s := sessionsAt(t, c, db, at)
	now := time.Now().Truncate(time.Microsecond)
	v := anonymous("a", now)
	must(t, s.CreateSession(t.Context(), v, storage.Digest{}))
	must(t, s.SaveSession(t.Context(), v.Digest, 1, []byte("two")))
	next := v
	next.ID, next.Data = "another", []byte("other")
	if err := s.CreateSession(t.Context(), next, storage.Digest{}); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("created: %v", err)
	}
	if got, _, err := s.SessionByDigest(t.Context(), v.Digest); err != nil || string(got.Data) != "two" || got.Version != 2 {
		t.Errorf("after a conflict: %+v, %v", got, err)
	}
	must(t, db.DeleteSession(t.Context(), v.Digest)) // its content is left
	must(t, s.CreateSession(t.Context(), next, storage.Digest{}))
	if got, _, err := s.SessionByDigest(t.Context(), v.Digest); err != nil || string(got.Data) != "other" || got.Version != 1 {
		t.Errorf("over content that was left: %+v, %v", got, err)
	}
	next.Digest, next.ID = storage.DigestOf("b"), v.ID
	must(t, s.CreateSession(t.Context(), next, storage.Digest{}))
	next.Digest = storage.DigestOf("c")
	if err := s.CreateSession(t.Context(), next, storage.Digest{}); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("created with an ID that is taken: %v", err)
	}
	if n := len(keysIn(t, c, at)); n != 2 {
		t.Errorf("content of %d sessions, want that of 2", n)
	}
}

// A rollback of the database brings the session back, so its content stays meanwhile.
func TestRollback(t *testing.T) {
	c, db := redistest.Start(t).Client(), memory.New(nil)
	s := sessionsOver(t, c, db)
	now := time.Now().Truncate(time.Microsecond)
	v := login(t, db, "alice", now)
	must(t, s.CreateSession(t.Context(), v, storage.Digest{}))
	undo := errors.New("undo")
	for what, f := range map[string]func(ctx context.Context) error{
		"delete":  func(ctx context.Context) error { return s.DeleteSession(ctx, v.Digest) },
		"one":     func(ctx context.Context) error { return s.DeleteSessionOf(ctx, v.Subject, v.ID) },
		"replace": func(ctx context.Context) error { return s.CreateSession(ctx, anonymous("next", now), v.Digest) },
	} {
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			must(t, f(ctx))
			return undo
		})
		if !errors.Is(err, undo) {
			t.Errorf("%s: %v", what, err)
		}
		if got, _, err := s.SessionByDigest(t.Context(), v.Digest); err != nil || string(got.Data) != string(v.Data) {
			t.Errorf("%s: after a rollback %+v, %v", what, got, err)
		}
	}
}

// With a cache as its base, a replica reads the data that another one saved, and a logout there.
func TestOverCaches(t *testing.T) {
	client := redistest.Start(t)
	db, at := memory.New(nil), prefix()
	var stores [2]*redisstore.Sessions
	var caches [2]*cached.Store
	for i := range stores {
		c, err := cached.New(db, &cached.Options{TTL: cached.MaxTTL, Tell: func(_ context.Context, c cached.Change) error {
			for _, other := range caches {
				c.Apply(other)
			}
			return nil
		}})
		must(t, err)
		caches[i] = c
		stores[i] = sessionsAt(t, client.Client(), c, at)
	}
	now := time.Now().Truncate(time.Microsecond)
	v := login(t, db, "alice", now)
	must(t, stores[0].CreateSession(t.Context(), v, storage.Digest{}))
	for n, text := range []string{"one", "two", "three"} {
		must(t, stores[n%2].SaveSession(t.Context(), v.Digest, int64(n+1), []byte(text)))
		for i, s := range stores {
			if got, u, err := s.SessionByDigest(t.Context(), v.Digest); err != nil || string(got.Data) != text || got.Version != int64(n+2) || u.ID != "alice" {
				t.Errorf("replica %d: %+v of %+v, %v", i, got, u, err)
			}
		}
	}
	must(t, stores[0].DeleteSession(t.Context(), v.Digest))
	for i, s := range stores {
		if _, _, err := s.SessionByDigest(t.Context(), v.Digest); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("replica %d after the logout: %v", i, err)
		}
	}
}

// A session whose content was lost, and which was then used or logged out, stays logged out if Redis
// is restored.
func TestLostContentComesBack_attack_434(t *testing.T) {
	c := redistest.Start(t).Client()
	db := memory.New(nil)
	at := prefix()
	s := sessionsAt(t, c, db, at)
	now := time.Now().Truncate(time.Microsecond)
	v := login(t, db, "alice", now)
	must(t, s.CreateSession(t.Context(), v, storage.Digest{}))
	backup := dump(t, c, at)
	for k := range backup {
		must(t, c.Del(t.Context(), k).Err())
	}
	for range 2 {
		if _, _, err := s.SessionByDigest(t.Context(), v.Digest); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("got %v, want not found", err)
		}
		restore(t, c, backup)
	}
}
