package password_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
)

// The minimum time of a failed login is at least twice the slowest hash met, and the cost for
// unknown names is limited.
func TestCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	const key = "$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"
	for name, x := range map[string]struct {
		hash   string
		floor  time.Duration // at least
		exact  bool
		argon2 bool // unknown names go on to compute argon2id
	}{
		"edge_C15/argon2id":       {"$argon2id$v=19$m=8,t=1,p=1" + key, 500 * time.Millisecond, true, true},
		"edge_C15/bcrypt 12":      {"$2y$12$abcdefghijklmnopqrstuuKXYzTpsL.O1PJgqJM1vYOg7XdfLpgAS", 490 * time.Millisecond, false, false},
		"edge_C15/pbkdf2 1200000": {"$pbkdf2-sha256$i=1200000" + key, 900 * time.Millisecond, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := password.NewHasher(nil)
			must(t, err)
			w := newWorld(t, h, password.Options{})
			must(t, w.store.CreateUser(t.Context(), storage.User{ID: "1", Name: "alice", Password: storage.PasswordHash(x.hash), Active: true}))
			for _, who := range []string{"alice", "nobody"} { // the first login meets the hash
				before := w.slept
				if _, err := w.login(who, "wrong-password"); status(err) != 401 {
					t.Fatal(err)
				}
				if d := w.slept - before; d < x.floor || x.exact && d > x.floor {
					t.Errorf("%s: the floor is %v, want %v", who, d, x.floor)
				}
			}
			if got := h.DummyIsNew(); got != x.argon2 {
				t.Errorf("unknown names compute a new hash: %t, want %t", got, x.argon2)
			}
		})
	}
}
