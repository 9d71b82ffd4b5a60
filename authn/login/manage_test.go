package login_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Whose account an identity is: the name of a space decides, and without one the recorded store.
func TestFirstPartyOf(t *testing.T) {
	plain, other := memory.New(nil), memory.New(nil)
	staff, staff2 := memory.New(&memory.Options{Space: "staff"}), memory.New(&memory.Options{Space: "staff"})
	for name, tc := range map[string]struct {
		subject string
		from    any // the store that the scheme recorded
		store   any // the endpoint's
		want    bool
	}{
		"same store":                        {"7", plain, plain, true},
		"another store":                     {"7", other, plain, false},
		"no recorded store":                 {"7", nil, plain, true},
		"space, same store":                 {"staff:7", staff, staff, true},
		"space, another pool of it":         {"staff:7", staff2, staff, true},
		"space, no recorded store":          {"staff:7", nil, staff, true},
		"another space":                     {"customers:7", staff, staff, false},
		"without a space, for one with":     {"7", plain, staff, false},
		"with a space, for one without one": {"staff:7", staff, plain, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := authn.Identity{Subject: tc.subject}
			if tc.from != nil {
				id.SetStore(tc.from)
			}
			if err := login.FirstPartyOf(id, tc.store); (err == nil) != tc.want {
				t.Errorf("%v, want own account: %v", err, tc.want)
			}
		})
	}
}
