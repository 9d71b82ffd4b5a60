package recovery_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Strangers who guess passwords do not prevent an owner from using a link: the token is a proof,
// and slots of the hasher are reserved for callers with a proof.
func TestResetBesideGuesses(t *testing.T) {
	t.Run("edge_A11/reset", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		token := w.token()
		// A caller that finds no free slot is rejected immediately. Strangers can hold one of two
		// slots.
		h, err := password.NewHasher(&password.HasherOptions{Slots: 2, MaxWait: time.Nanosecond})
		must(t, err)
		w.passwords, err = password.New(w.s, h, &password.Options{FailureFloor: time.Nanosecond})
		must(t, err)
		w.Recovery = w.recovery(&recovery.Options{InsecureNoLimiter: true})
		// A hash of cost 14 takes about a second.
		const slow = storage.PasswordHash("$2a$14$NlZNiYDUVYzUBnTHvdlTmuhjBGSb/FQmHHUFsmj02lR4/lFKCdmTi")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = h.Verify(t.Context(), "198.51.100.1", slow, "guess")
		}()
		for h.Hashed() == 0 {
			runtime.Gosched()
		}
		if rec := post(w.Reset(), `{"token":"`+token+`","password":"looking-glass-1"}`); rec.Code != 204 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		<-done
	})
}
