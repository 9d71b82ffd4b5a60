package password_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
)

// A password that is too long is rejected before it is normalized, and an account cannot have an
// e-mail address that no mail server accepts.
func TestLongFields_attack_358(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	alice := w.register(t, "alice")
	long := strings.Repeat("e\u0301", 1<<20)
	for name, f := range map[string]func() error{
		"Register": func() error {
			_, err := w.checker.Register(t.Context(), password.NewUser{Name: "bob", Password: long})
			return err
		},
		"NewHash":      func() error { _, err := w.checker.NewHash(t.Context(), alice, long); return err },
		"NewOwnerHash": func() error { _, err := w.checker.NewOwnerHash(t.Context(), alice, long); return err },
		"SetPassword":  func() error { return w.checker.SetPassword(t.Context(), alice.ID, long) },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := f()
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; status(err) != 400 || took > 64<<10 {
			t.Errorf("%s of %d bytes: %v after %d bytes of memory, want a 400 after less than 64 KiB", name, len(long), err, took)
		}
	}
	for n, want := range map[int]int{storage.MaxEmailBytes: 200, storage.MaxEmailBytes + 1: 400} {
		name := "mail" + strings.Repeat("x", n%2)
		email := strings.Repeat("a", n-len("@example.com")) + "@example.com"
		if _, err := w.checker.Register(t.Context(), password.NewUser{Name: name, Password: secret, Email: email}); status(err) != want {
			t.Errorf("an address of %d bytes: %v, want %d", n, err, want)
		}
	}
}
