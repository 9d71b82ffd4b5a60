package memory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// What one more login of a subject takes, and the end of one, does not grow with how many it
// has: none of the others is copied.
func TestManyOfOneSubject(t *testing.T) {
	const many, measured, bound = 2_000, 200, 8 << 10 // bytes; a list of the digests would be 64 KB
	ctx, s := t.Context(), memory.New(nil)
	must(t, s.CreateUser(ctx, storage.User{ID: "a", Name: "a", Active: true}))
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ends := born.Add(time.Hour)
	for what, f := range map[string]struct{ begin, end func(id string) error }{
		"sessions": {
			func(id string) error {
				return s.CreateSession(ctx, storage.Session{Digest: storage.DigestOf(id), ID: id, Subject: "a", AuthTime: born, Created: born, LastSeen: born, Expires: ends, Ends: ends}, storage.Digest{})
			},
			func(id string) error { return s.DeleteSessionOf(ctx, "a", id) },
		},
		"device tokens": {
			func(id string) error {
				_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(id), ID: id, Subject: "a", Created: born}, storage.CredentialLimit{})
				return err
			},
			func(id string) error { return s.DeleteCredential(ctx, "knox", "a", id) },
		},
		"families": {
			func(id string) error {
				return s.CreateFamily(ctx, storage.Family{ID: id, Purpose: "p", Subject: "a", AuthTime: born, Created: born, Expires: ends}, storage.Refresh{Digest: storage.DigestOf(id), Created: born, Expires: ends})
			},
			func(id string) error { return s.EndFamily(ctx, id, ends) },
		},
	} {
		bytes := func(from int, do func(id string) error) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range measured {
				must(t, do(fmt.Sprint(from+i)))
			}
			runtime.ReadMemStats(&after)
			return (after.TotalAlloc - before.TotalAlloc) / measured
		}
		for i := range many {
			must(t, f.begin(fmt.Sprint(i)))
		}
		if n := bytes(many, f.begin); n > bound {
			t.Errorf("%s: one more takes %d bytes", what, n)
		}
		if n := bytes(0, f.end); n > bound {
			t.Errorf("%s: the end of one takes %d bytes", what, n)
		}
	}
}

// The end of a subject's last one can be taken back.
func TestLastTakenBack(t *testing.T) {
	ctx, s := t.Context(), memory.New(nil)
	must(t, s.CreateUser(ctx, storage.User{ID: "a", Name: "a", Active: true}))
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	create := func(id string) {
		t.Helper()
		_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(id), ID: id, Subject: "a", Created: born}, storage.CredentialLimit{})
		must(t, err)
	}
	list := func() (ids []string) {
		t.Helper()
		list, err := s.ListCredentials(ctx, "knox", "a", 10)
		must(t, err)
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		return ids
	}
	create("1")
	if err := s.InTx(ctx, func(ctx context.Context) error {
		must(t, s.DeleteCredential(ctx, "knox", "a", "1"))
		return errors.New("on purpose")
	}); err == nil {
		t.Fatal("no error")
	}
	if got := list(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("%q after an end that was taken back", got)
	}
	create("2")
	if got := list(); len(got) != 2 {
		t.Errorf("%q of two", got)
	}
}
