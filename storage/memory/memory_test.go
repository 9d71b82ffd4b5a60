package memory_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Store { return memory.New(nil) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Nobody sees half of a transaction, and none is lost: each reads a list and writes
// it one longer.
func TestTransactionsAreAlone(t *testing.T) {
	s, ctx := memory.New(nil), t.Context()
	for _, id := range []string{"counter", "half"} {
		if err := s.CreateUser(ctx, storage.User{ID: id, Name: id}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				if err := s.InTx(ctx, func(ctx context.Context) error {
					list, err := s.SubjectPermissions(ctx, "counter")
					if err != nil {
						return err
					}
					runtime.Gosched()
					if err := s.SetSubjectPermissions(ctx, "half", []string{"x"}); err != nil {
						return err
					}
					if err := s.SetSubjectPermissions(ctx, "counter", append(list, string(rune('a'+len(list))))); err != nil {
						return err
					}
					return s.SetSubjectPermissions(ctx, "half", nil)
				}); err != nil {
					t.Error(err)
				}
				if half, err := s.SubjectPermissions(ctx, "half"); err != nil || len(half) > 0 {
					t.Errorf("half of a transaction is seen: %v, %v", half, err)
				}
			}
		})
	}
	wg.Wait()
	if list, err := s.SubjectPermissions(ctx, "counter"); err != nil || len(list) != 64*20 {
		t.Errorf("%d of %d transactions counted, %v", len(list), 64*20, err)
	}
}

// What keeps a transaction's context beyond its end is told so: it no longer has
// the store to itself.
func TestEndedTransaction(t *testing.T) {
	s := memory.New(nil)
	for name, end := range map[string]error{"committed": nil, "rolled back": errors.New("on purpose")} {
		var kept context.Context
		if err := s.InTx(t.Context(), func(ctx context.Context) error {
			kept = ctx
			return end
		}); !errors.Is(err, end) {
			t.Fatal(err)
		}
		if err := s.CreateUser(kept, storage.User{ID: "a", Name: "a"}); err == nil {
			t.Errorf("%s: a write was taken", name)
		}
		if _, err := s.SubjectEpoch(kept, "a"); err == nil {
			t.Errorf("%s: a read was answered", name)
		}
		if _, err := s.UserByID(t.Context(), "a"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What a store returns and what it was given are copies.
func TestCopies(t *testing.T) {
	s, ctx := memory.New(nil), t.Context()
	roles, salt := []string{"staff"}, []byte{1, 2, 3}
	must(t, s.CreateUser(ctx, storage.User{ID: "a", Name: "a", Active: true, Roles: roles}))
	must(t, s.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "a", Salt: salt}, storage.Digest{}))
	roles[0], salt[0] = "admin", 9
	for range 2 {
		tok, u, err := s.StaticTokenByDigest(ctx, storage.DigestOf("x"))
		must(t, err)
		if u.Roles[0] != "staff" || tok.Salt[0] != 1 {
			t.Errorf("got %v, %v", u.Roles, tok.Salt)
		}
		u.Roles[0], tok.Salt[0] = "admin", 9
	}
}

// A context that ended asks nothing.
func TestCancelled(t *testing.T) {
	s := memory.New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"write":       s.CreateUser(ctx, storage.User{ID: "a", Name: "a"}),
		"transaction": s.InTx(ctx, func(context.Context) error { return nil }),
		"ping":        s.Ping(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.UserByID(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
}
