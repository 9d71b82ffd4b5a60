package gormstore_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// endings are changes that end every credential of a subject, and whether the account goes.
var endings = map[string]struct {
	deleted bool
	do      func(ctx context.Context, s cached.Base, epoch int64) error
}{
	"new password": {false, func(ctx context.Context, s cached.Base, _ int64) error { return s.SetPassword(ctx, "alice", "new") }},
	"change password": {false, func(ctx context.Context, s cached.Base, epoch int64) error {
		return s.ChangePassword(ctx, "alice", epoch, "new")
	}},
	"disable": {false, func(ctx context.Context, s cached.Base, _ int64) error { return s.SetActive(ctx, "alice", false) }},
	"log out everywhere": {false, func(ctx context.Context, s cached.Base, _ int64) error {
		_, err := storage.LogoutEverywhere(ctx, s, "alice")
		return err
	}},
	"delete": {true, func(ctx context.Context, s cached.Base, _ int64) error { return s.DeleteUser(ctx, "alice") }},
	"forget": {true, func(ctx context.Context, s cached.Base, _ int64) error { return s.DeleteSubject(ctx, "alice") }},
}

// The hook is called once in the transaction of each change that ends a subject's credentials,
// and in no other; its error and its panic undo the change.
func TestEnded(t *testing.T) {
	opens := map[string]func(*testing.T, storage.EndedFunc) cached.Base{
		"plain": func(_ *testing.T, f storage.EndedFunc) cached.Base { return memory.New(&memory.Options{Ended: f}) },
	}
	for name, open := range databases {
		opens[name] = func(t *testing.T, f storage.EndedFunc) cached.Base {
			return migrated(t, open(t, &gormstore.Options{Ended: f}))
		}
	}
	for name, open := range maps.Clone(opens) {
		opens["cached "+name] = func(t *testing.T, f storage.EndedFunc) cached.Base {
			s, err := cached.New(open(t, f), nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	}
	for name, open := range opens {
		t.Run(name, func(t *testing.T) {
			var s cached.Base
			var seen []storage.Ending
			var fail func() error
			s = open(t, func(ctx context.Context, e storage.Ending) error {
				seen = append(seen, e)
				if !s.InTransaction(ctx) {
					t.Error("the hook does not run in the transaction")
				}
				// Somebody else's record: it goes with the change or not at all.
				if err := s.SetGroupPermissions(ctx, "others", []string{"seen." + e.Subject}); err != nil {
					return err
				}
				return fail()
			})
			fail = func() error { return nil }
			if err := s.CreateUser(t.Context(), storage.User{ID: "other", Name: "other"}); err != nil {
				t.Fatal(err)
			}
			for what, end := range endings {
				t.Run(what, func(t *testing.T) {
					ctx := t.Context()
					must := func(err error) {
						t.Helper()
						if err != nil {
							t.Fatal(err)
						}
					}
					fail = func() error { return nil }
					must(s.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Password: "old", Active: true}))
					defer func() {
						fail = func() error { return nil }
						must(s.DeleteSubject(ctx, "alice"))
						if err := s.DeleteUser(ctx, "alice"); !errors.Is(err, storage.ErrNotFound) {
							must(err)
						}
					}()
					epoch, err := s.SubjectEpoch(ctx, "alice")
					must(err)
					must(s.SetSubjectPermissions(ctx, "alice", []string{"app.x"}))
					must(s.SetSubjectGroups(ctx, "other", []string{"others"}))
					must(s.SetGroupPermissions(ctx, "others", nil))
					secret := errors.New("on purpose")
					for how, bad := range map[string]func() error{"error": func() error { return secret }, "panic": func() error { panic("s3cret") }} {
						fail = bad
						err := end.do(ctx, s, epoch)
						if err == nil || how == "error" && !errors.Is(err, secret) || strings.Contains(err.Error(), "s3cret") {
							t.Errorf("%s: got %v", how, err)
						}
						u, err := s.UserByID(ctx, "alice")
						perms, perr := s.SubjectPermissions(ctx, "alice")
						others, oerr := s.SubjectPermissions(ctx, "other")
						must(errors.Join(err, perr, oerr))
						if u.Epoch != epoch || u.Password != "old" || !u.Active || !slices.Equal(perms, []string{"app.x"}) || len(others) != 0 {
							t.Errorf("%s: the change was not undone: %+v, %q, %q", how, u, perms, others)
						}
					}
					seen, fail = nil, func() error { return nil }
					must(end.do(ctx, s, epoch))
					now, err := s.SubjectEpoch(ctx, "alice")
					must(err)
					if want := (storage.Ending{Subject: "alice", Epoch: now, Deleted: end.deleted}); !slices.Equal(seen, []storage.Ending{want}) {
						t.Errorf("the hook saw %+v, want %+v once", seen, want)
					}
					if others, err := s.SubjectPermissions(ctx, "other"); err != nil || !slices.Equal(others, []string{"seen.alice"}) {
						t.Errorf("the hook's own change: %q, %v", others, err)
					}
				})
			}
			fail, seen = func() error { return nil }, nil
			ctx := t.Context()
			err := errors.Join(
				s.CreateUser(ctx, storage.User{ID: "bob", Name: "bob", Password: "old", Active: false}), s.SetActive(ctx, "bob", true),
				s.ReplaceHash(ctx, "bob", "old", "better"), s.SetRoles(ctx, "bob", "a"), s.SetSubjectGroups(ctx, "bob", []string{"g"}),
			)
			if err != nil || len(seen) != 0 {
				t.Errorf("what ends nothing calls the hook: %+v, %v", seen, err)
			}
		})
	}
}
