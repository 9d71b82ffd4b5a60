package oauth2_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A client that exchanges refresh tokens without a pause is told to wait; its grant lives on, and
// the token that it has is good later.
func TestRefreshedTooOften_attack_273(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	last := w.exchange("app", w.code("app", nil))
	for range storage.ExchangeBurst {
		last = w.refreshes("app", last.Refresh)
		if last.Status != 200 {
			t.Fatal(last.Body)
		}
	}
	for range 2 {
		if got := w.refreshes("app", last.Refresh); got.Status != 429 || got.Header.Get("Retry-After") != "30" {
			t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
		}
	}
	if got := w.status(last.Access); got != 200 {
		t.Errorf("the access token: %d", got)
	}
	w.pass(storage.ExchangeEvery)
	if got := w.refreshes("app", last.Refresh); got.Status != 200 {
		t.Errorf("later: %d %s", got.Status, got.Body)
	}
}
