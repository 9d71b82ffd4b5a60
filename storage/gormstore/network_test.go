package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// isAnswer reports an error that tells the caller something about the record.
func isAnswer(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrStale) || errors.Is(err, storage.ErrInvalid)
}

// The connection ends while a change is on its way: at each kind of statement,
// before the server got it and after it did. The outcome is an error that claims
// nothing; all of the change took place or nothing.
func TestConnectionCut(t *testing.T) {
	ctx := context.Background()
	url := storetest.URL(t)
	p, slow := through(t, url)
	s := migrated(t, opened(t)(postgres.Open(slow, &patient)))
	direct := opened(t)(postgres.Open(url, &patient))
	pool, err := s.DB(ctx).DB()
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxIdleConns(0) // statements are prepared anew, so that their text is seen
	put := func(ctx context.Context, s *gormstore.Store) error {
		return s.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf("y"), Subject: "1", Salt: []byte("s"), KeyID: "k-2"}, storage.DigestOf("x"))
	}
	for _, c := range []struct {
		change string
		do     func(context.Context, *gormstore.Store) error
		at     string
	}{
		{"SetPassword", changes["SetPassword"], "begin"}, {"SetPassword", changes["SetPassword"], "UPDATE "}, {"SetPassword", changes["SetPassword"], "vestibule_subjects"},
		{"SetPassword", changes["SetPassword"], "DELETE "}, {"SetPassword", changes["SetPassword"], "commit\x00"}, {"DeleteUser", changes["DeleteUser"], "commit\x00"},
		{"SetActive", changes["SetActive"], "commit\x00"}, {"PutStaticToken", put, "UPDATE vestibule_static_tokens"},
		{"PutStaticToken", put, "k-2"}, // the parameters, so the statement runs
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("attack_220_attack_222_%s_%s_after_%t", c.change, strings.Trim(c.at, "\x00 "), after), func(t *testing.T) {
				p.set(0, "", false)
				if err := errors.Join(direct.DeleteSubject(ctx, "1"), direct.DB(ctx).Exec("DELETE FROM vestibule_users").Error, direct.DB(ctx).Exec("DELETE FROM vestibule_subjects").Error); err != nil {
					t.Fatal(err)
				}
				furnish(t, direct)
				before := read(t, direct)
				p.set(0, c.at, after)
				err := c.do(ctx, s)
				if p.cut() != 1 {
					t.Fatalf("cut %d times", p.cut())
				}
				if isAnswer(err) {
					t.Errorf("a lost connection looks like an answer: %v", err)
				}
				got := read(t, direct)
				if done := c.at == "commit\x00" || c.at == "k-2"; after && done && (err == nil || reflect.DeepEqual(got, before)) {
					t.Errorf("the server had done it; the caller was told %v, the state is %+v", err, got)
				}
				if reflect.DeepEqual(got, before) { // nothing, and that is not hidden
					if err == nil {
						t.Error("a change that was lost was acknowledged")
					}
					return
				}
				if c.change == "PutStaticToken" {
					if got.token.KeyID != "k-2" {
						t.Errorf("%+v", got)
					}
				} else if got.epoch == 0 || got.token.Subject != "" {
					t.Errorf("a part of the change took place: %+v", got)
				}
			})
		}
	}
}

// A server that needs five seconds for an answer, and 300 callers: each has an
// error within the deadline, they do not pile up, and all is well afterwards.
func TestSlowServer(t *testing.T) {
	t.Run("attack_218_slow_server", func(t *testing.T) {
		ctx := context.Background()
		const timeout = 300 * time.Millisecond
		p, url := through(t, storetest.URL(t))
		s := migrated(t, opened(t)(postgres.Open(url, &patient)))
		furnish(t, s)
		s = opened(t)(postgres.Open(url, &gormstore.Options{Timeout: timeout}))
		if _, _, err := s.StaticTokenByDigest(ctx, storage.DigestOf("x")); err != nil {
			settled(t, s, runtime.NumGoroutine()) // a busy machine does not connect within the timeout
		}
		before := runtime.NumGoroutine()
		p.set(5*time.Second, "", false)
		var wg sync.WaitGroup
		for range 300 {
			wg.Go(func() {
				begin := time.Now()
				_, _, err := s.StaticTokenByDigest(ctx, storage.DigestOf("x"))
				if err == nil || isAnswer(err) {
					t.Errorf("a slow server: %v", err)
				}
				if took := time.Since(begin); took > 10*timeout {
					t.Errorf("a call took %v", took)
				}
			})
		}
		wg.Wait()
		p.set(0, "", false)
		settled(t, s, before)
	})
}

// settled waits until the store answers, no connection is in use, and the goroutines
// are about as many as they were.
func settled(t *testing.T, s *gormstore.Store, goroutines int) {
	t.Helper()
	pool, err := s.DB(context.Background()).DB()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for {
		// The store's own timeout may be shorter than a connection takes on a busy machine.
		connecting, done := context.WithTimeout(context.Background(), 20*time.Second)
		err := errors.Join(pool.PingContext(connecting), s.Ping(context.Background()))
		done()
		if err == nil {
			break
		} else if time.Since(begin) > 30*time.Second {
			t.Fatalf("no answer within 30 s: %v", err)
		}
	}
	const slack = 80 // the connections of the pool, at both of their ends
	for {
		inUse, now := pool.Stats().InUse, runtime.NumGoroutine()
		if inUse == 0 && now <= goroutines+slack {
			return
		} else if time.Since(begin) > 30*time.Second {
			t.Fatalf("%d connections in use, %d goroutines after %d", inUse, now, goroutines)
		}
		time.Sleep(10 * time.Millisecond) //house: real connections are awaited
	}
}
