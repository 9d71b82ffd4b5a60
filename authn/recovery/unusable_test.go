package recovery_test

import (
	"fmt"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/storage"
)

// hashOf returns the stored hash of an account.
func (w *world) hashOf(name string) storage.PasswordHash {
	w.t.Helper()
	u, err := w.s.UserByName(w.t.Context(), name)
	must(w.t, err)
	return u.Password
}

// An account whose hash no password matches gets no link, and a link that it already has sets no password.
func TestUnusablePasswords_attack_487(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.recovery(&recovery.Options{InsecureNoLimiter: true})
		ask := func(name string) int {
			before := len(w.messages)
			post(r.Request(), fmt.Sprintf(`{"address":%q}`, name))
			r.Drain(t.Context())
			return len(w.messages) - before
		}
		for i, hash := range []storage.PasswordHash{"", "!", "!locked", "*", "*0", "x", "$1$abc$def", "LOCKED"} {
			name := fmt.Sprint("locked", i)
			must(t, w.s.CreateUser(t.Context(), storage.User{ID: name, Name: name, Email: name + "@app.example", Active: true, Password: hash}))
			if n := ask(name); n != 0 {
				t.Errorf("%q: %d links", hash, n)
			}
		}
		if n := ask("alice"); n != 1 {
			t.Fatalf("alice: %d links", n)
		}
		token := w.messages[len(w.messages)-1].Token
		u, err := w.s.UserByName(t.Context(), "alice")
		must(t, err)
		must(t, w.s.store.(storage.Accounts).ReplaceHash(t.Context(), u.ID, u.Password, "*")) // as SQL would lock it: without a new epoch
		if rec := post(r.Reset(), fmt.Sprintf(`{"token":%q,"password":"looking-glass-2"}`, token)); rec.Code != 400 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}
