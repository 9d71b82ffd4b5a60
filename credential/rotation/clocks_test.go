package rotation

import (
	"testing"
	"time"
)

// A refresh token or a family from a clock that was more than an hour ahead has expired when the
// clock is right. It can still be revoked.
func TestClockWasAhead_attack_335(t *testing.T) {
	w := newWorld(t, 10*time.Second)
	w.begin(t, "family")
	w.pass(50 * time.Minute)
	near := w.good(t, "family-0")
	w.pass(-50 * time.Minute)
	near = w.good(t, near)
	w.pass(50 * time.Minute)
	near = w.good(t, near)
	w.pass(11 * time.Minute)
	far := w.good(t, near)
	w.begin(t, "young")
	w.pass(-61 * time.Minute)
	w.is(t, use(far), ErrExpired, "a token of the future")
	w.is(t, use("young-0"), ErrExpired, "a family of the future")
	for secret, id := range map[string]string{far: "family", "young-0": "young"} {
		if _, err := w.Inspect(t.Context(), use(secret)); err != ErrExpired {
			t.Errorf("inspected: %v", err)
		}
		if _, err := w.Revoke(t.Context(), use(secret)); err != nil || !w.blocked(t, id) {
			t.Errorf("revoked: %v, blocked %t", err, w.blocked(t, id))
		}
	}
}
