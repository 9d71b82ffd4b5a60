package cached_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const perm = "blog.view_post"

// permitted is a permission of an account, its own and through a group, as a credential.
func (w *world) permitted(id string, ofGroup bool) credential {
	w.Helper()
	group := "group of " + id
	c := credential{name: "permission", good: func(ctx context.Context, s *cached.Store) (bool, error) {
		names, err := s.SubjectPermissions(ctx, id)
		return slices.Contains(names, perm), err
	}}
	if !ofGroup {
		w.must(w.base.SetSubjectPermissions(w.ctx, id, []string{perm}))
		c.ends = map[string]func(*cached.Store) error{
			"set_subject": func(s *cached.Store) error { return s.SetSubjectPermissions(w.ctx, id, []string{"other.thing"}) },
		}
		return c
	}
	w.must(w.base.SetGroupPermissions(w.ctx, group, []string{perm}))
	w.must(w.base.SetSubjectGroups(w.ctx, id, []string{group}))
	c.ends = map[string]func(*cached.Store) error{
		"set_groups": func(s *cached.Store) error { return s.SetSubjectGroups(w.ctx, id, nil) },
		"set_group":  func(s *cached.Store) error { return s.SetGroupPermissions(w.ctx, group, []string{"other.thing"}) },
	}
	return c
}

// eachPermission runs f for each way to take a permission away, each of an account of its
// own.
func (w *world) eachPermission(f func(what string, c credential)) {
	w.add("sample")
	for _, ofGroup := range []bool{false, true} {
		for what := range w.permitted("sample", ofGroup).ends {
			id := what + w.Name()
			w.add(id)
			f(what, w.permitted(id, ofGroup))
		}
	}
}

// Permissions are asked for once, and a change of them holds when it returns.
func TestPermissions(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		w.eachPermission(func(what string, c credential) {
			if n := w.asked(func() {
				for range 3 {
					w.is(c, true, "it is there")
				}
			}); n != 1 {
				t.Errorf("%s: asked %d times", what, n)
			}
			w.must(c.ends[what](w.s))
			w.is(c, false, what)
		})
		// Whatever happens to an account, the answer is the store's.
		for what := range everywhere(w.ctx, "", 0) {
			w.add(what)
			w.permitted(what, true)
			w.is(w.permitted(what, false), true, "it is there")
			w.must(everywhere(w.ctx, what, 0)[what](w.s))
			want, err := base.SubjectPermissions(w.ctx, what)
			w.must(err)
			if got, err := w.s.SubjectPermissions(w.ctx, what); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %q, want %q, %v", what, got, want, err)
			}
		}
	})
}

// Nobody who asks after a permission was taken away is told that it is there.
func TestPermissionRaces(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		t.Run("attack_042_permission_taken_during_use", func(t *testing.T) {
			w.TB = t
			w.eachPermission(func(what string, c credential) { w.against(what, c.ends[what], c) })
		})
	})
}

// What a transaction changes holds when it has ended; within it, its own is seen.
func TestPermissionsInTransaction(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		for name, end := range map[string]error{"commit": nil, "rollback": errors.New("undone")} {
			w := newWorld(t, base, nil)
			w.add(name)
			c := w.permitted(name, false)
			w.is(c, true, "before")
			if err := w.s.InTx(w.ctx, func(ctx context.Context) error {
				w.must(w.s.SetSubjectPermissions(ctx, name, nil))
				if good, err := c.good(ctx, w.s); good || err != nil {
					t.Errorf("%s: within the transaction %t, %v", name, good, err)
				}
				return end
			}); !errors.Is(err, end) {
				t.Fatal(err)
			}
			w.is(c, end != nil, name)
		}
	})
}

// Two processes: the other one goes on up to the TTL, and is told by messages, of which
// the kind is one.
func TestPermissionMessages(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		other := over(t, base, &cached.Options{Clock: w.clock.now})
		var told []cached.Change
		telling := over(t, base, &cached.Options{Clock: w.clock.now, Tell: func(_ context.Context, c cached.Change) error {
			text, err := c.MarshalText()
			w.must(err)
			var got cached.Change
			w.must(got.UnmarshalText(text))
			told = append(told, got)
			return nil
		}})
		w.eachPermission(func(what string, c credential) {
			if good, err := c.good(w.ctx, other); !good || err != nil {
				t.Fatal(what, good, err)
			}
			w.must(c.ends[what](telling))
			if good, err := c.good(w.ctx, other); !good || err != nil {
				t.Errorf("%s: the other process asks: %t, %v", what, good, err)
			}
			for _, m := range told {
				m.Apply(other)
			}
			told = nil
			if good, err := c.good(w.ctx, other); good || err != nil {
				t.Errorf("%s: the other process says %t, %v", what, good, err)
			}
		})
	})
	c := cached.Change{Key: cached.Key{Kind: cached.Permissions, Digest: storage.DigestOf("alice")}}
	text, err := c.MarshalText()
	must(t, err)
	var got cached.Change
	must(t, got.UnmarshalText(text))
	if got != c {
		t.Errorf("%q became %+v", text, got)
	}
	w := newWorld(t, memory.New(nil), nil)
	w.add("alice")
	p := w.permitted("alice", false)
	w.is(p, true, "it is there")
	got.Apply(w.s)
	if n := w.asked(func() { w.is(p, true, "asked anew") }); n != 1 {
		t.Errorf("a message of the kind forgets nothing: asked %d times", n)
	}
}

// Time, bypass and bounds are as of any other kind; who has none is kept too, and who
// appends to a list has one of his own.
func TestPermissionsAreKept(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Minute, MaxBytes: 20_000, MaxEntries: 10})
	w.add("alice")
	c := w.permitted("alice", false)
	asks := func(want int64, why string) {
		t.Helper()
		if n := w.asked(func() { w.is(c, true, why) }); n != want {
			t.Errorf("%s: asked %d times", why, n)
		}
	}
	asks(1, "first")
	asks(0, "kept")
	w.clock.forward(time.Minute)
	asks(1, "after the TTL")
	w.s.FlushAll()
	asks(1, "flushed")
	w.s.Bypass(true)
	asks(1, "bypassed")
	w.s.Bypass(false)
	asks(1, "nothing survives")

	names, err := w.s.SubjectPermissions(w.ctx, "alice")
	w.must(err)
	_ = append(names, "blog.add_post")
	if again, _ := w.s.SubjectPermissions(w.ctx, "alice"); len(again) != 1 || cap(again) != 1 {
		t.Errorf("%q, room for %d", again, cap(again))
	}
	if n := w.asked(func() {
		for range 3 {
			if names, err := w.s.SubjectPermissions(w.ctx, "nobody"); len(names) != 0 || err != nil {
				t.Errorf("%q, %v", names, err)
			}
		}
	}); n != 1 {
		t.Errorf("who has none: asked %d times", n)
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprint("app.permission_number_", i))
	}
	w.must(w.s.SetSubjectPermissions(w.ctx, "alice", many))
	for range 2 {
		if names, err := w.s.SubjectPermissions(w.ctx, "alice"); len(names) != 1000 || err != nil {
			t.Errorf("%d, %v", len(names), err)
		}
	}
	if u := w.s.Usage(); u.Bytes > 20_000 {
		t.Errorf("%+v", u)
	}
}

// An account with a lease asks each time, so that a permission that is taken away is gone
// within one request too; one without asks once.
func TestHasPerm(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	w.add("alice")
	c := w.give("alice")[0]
	w.permitted("alice", false)
	for _, shared := range []bool{false, true} {
		w.lease(c)
		u, _, err := c.look(w.ctx, w.s)
		w.must(err)
		if !shared {
			u = u.Leased(nil)
		}
		p := w.s.SetSubjectPermissions
		w.must(p(w.ctx, "alice", []string{perm}))
		account := u.WithPermissions(w.s)
		has := func() bool {
			has, err := account.HasPerm(w.ctx, perm)
			w.must(err)
			return has
		}
		for range 2 {
			if !has() {
				t.Errorf("shared %t: has not what it has", shared)
			}
		}
		w.must(p(w.ctx, "alice", nil))
		if has() == shared {
			t.Errorf("shared %t: after the end %t", shared, !shared)
		}
	}
}
