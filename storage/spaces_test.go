package storage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// A subject is of one space, and the bare ID comes out as it went in.
func FuzzSubjectIn(f *testing.F) {
	for _, s := range [][3]string{{"staff", "1", "customers"}, {"a", "b:1", "a:b"}, {"staff", "", "staff_"}, {"", "staff:1", "staff"}, {"s", ":", "s"}, {"staff", "1", "STAFF"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, space, id, other string) {
		if storage.CheckSpace(space) != nil || storage.CheckSpace(other) != nil {
			if strings.ContainsAny(space, "abc") && strings.Trim(space, "abc") == "" && len(space) < 33 && storage.CheckSpace(space) != nil {
				t.Errorf("edge_A01: the space %q is refused", space)
			}
			return
		}
		subject := storage.SubjectIn(space, id)
		if id != "" && !storage.BelongsTo(space, subject) {
			t.Errorf("edge_A01: %q is not of %q", subject, space)
		}
		if space != "" && other != "" && space != other && storage.BelongsTo(other, subject) {
			t.Errorf("edge_A01: %q of %q is of %q too", subject, space, other)
		}
		u := storage.User{ID: subject}.InSpace(space)
		if u.LocalID() != id && (space == "" || id != "") || u.ID != subject {
			t.Errorf("edge_A01: %q in %q: %q, %q", id, space, u.LocalID(), u.ID)
		}
		if want := space; id != "" && u.Space() != want {
			t.Errorf("edge_A01: the space of %q is %q", subject, u.Space())
		}
		u = u.InSpace(other)
		if other != space && u.Space() != "" && space != "" {
			t.Errorf("edge_A01: %q is of %q too", subject, u.Space())
		}
	})
}

func TestCheckSpace(t *testing.T) {
	for name, good := range map[string]bool{"": true, "staff": true, "a_1": true, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false,
		"Staff": false, "a:b": false, "a-b": false, " a": false, "é": false, "a\x00": false} {
		if err := storage.CheckSpace(name); good != (err == nil) || err != nil && !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("edge_A01: %q: %v", name, err)
		}
	}
	var u storage.User
	if u.LocalID() != "" || u.Space() != "" {
		t.Errorf("the zero user: %q, %q", u.LocalID(), u.Space())
	}
	// Whoever edits the ID of a copy gets no panic.
	u = storage.User{ID: "staff:1"}.InSpace("staff")
	u.ID = "x"
	if u.LocalID() != "" || u.Space() != "" {
		t.Errorf("an edited user: %q, %q", u.LocalID(), u.Space())
	}
}
