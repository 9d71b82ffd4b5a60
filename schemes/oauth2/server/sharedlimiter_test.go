package server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
)

// broken is a store that fails.
type broken struct{ throttle.Store }

func (broken) Take(context.Context, time.Time, [][]throttle.Bucket) (throttle.Outcome, error) {
	return throttle.Outcome{Plan: -1}, errors.New("down")
}

func TestSharedLimiter(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	one := server.Cell{Key: [16]byte{1}, Limit: 1, Window: time.Minute}
	three := server.Cell{Key: [16]byte{2}, Limit: 3, Window: time.Hour, Shared: true}
	l := server.SharedLimiter(throttle.NewMemory(nil))
	take := func(cells ...server.Cell) time.Duration {
		t.Helper()
		wait, err := l.Take(t.Context(), now, cells)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	if wait := take(one, three); wait != 0 {
		t.Errorf("the first waits %v", wait)
	}
	for range 5 {
		if wait := take(one, three); wait != time.Minute {
			t.Errorf("the next waits %v", wait)
		}
	}
	for range 2 { // a refusal took no unit
		if wait := take(three); wait != 0 {
			t.Errorf("waits %v", wait)
		}
	}
	if wait := take(three); wait != 20*time.Minute {
		t.Errorf("waits %v", wait)
	}
	if _, err := server.SharedLimiter(broken{}).Take(t.Context(), now, []server.Cell{one}); err == nil {
		t.Error("the store failed, and no error")
	}
}
