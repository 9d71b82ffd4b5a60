package totp_test

import (
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Who has only the password gets no recovery codes, which would be a second factor, and cannot keep the
// owner out: after a new password, the owner's attempts are counted from zero.
func TestPasswordAlone_attack_507(t *testing.T) {
	db := memory.New(nil)
	w := newWorld(t, db)
	key, printed := w.enroll()
	if codes, err := w.x.Recovery(t.Context(), w.id("pwd"), w.user.Epoch); err == nil || codes != nil {
		t.Errorf("recovery codes for a password: %v", err)
	}
	if codes, err := w.x.Recovery(t.Context(), w.id("pwd", "otp"), w.user.Epoch); err != nil || len(codes) == 0 || slices.Equal(codes, printed) {
		t.Errorf("recovery codes with both factors: %v", err)
	}
	handle := w.begin()
	for range 10 {
		w.finish(handle, wrong(codeAt(t, key, w.now)))
	}
	if got := w.finish(w.begin(), codeAt(t, key, w.now)); got != 429 {
		t.Errorf("after ten wrong codes: %d", got)
	}
	epoch, err := db.BumpEpoch(t.Context(), w.user.ID) // as a new password does
	if err != nil {
		t.Fatal(err)
	}
	w.user.Epoch = epoch
	w.now = w.now.Add(time.Minute)
	if got := w.finish(w.begin(), codeAt(t, key, w.now)); got != 200 {
		t.Errorf("after a new password: %d", got)
	}
}
