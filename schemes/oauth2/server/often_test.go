package server_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A client that exchanges refresh tokens without a pause is told to wait; its grant lives on, and
// the token that it has is good later.
func TestRefreshedTooOften_attack_273(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), nil)
	last := w.Exchange("app", w.Code("app", nil))
	for range storage.ExchangeBurst {
		last = w.Refreshes("app", last.Refresh)
		if last.Status != 200 {
			t.Fatal(last.Body)
		}
	}
	for range 2 {
		if got := w.Refreshes("app", last.Refresh); got.Status != 429 || got.Header.Get("Retry-After") != "30" {
			t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
		}
	}
	if got := w.Status(last.Access); got != 200 {
		t.Errorf("the access token: %d", got)
	}
	w.Pass(storage.ExchangeEvery)
	if got := w.Refreshes("app", last.Refresh); got.Status != 200 {
		t.Errorf("later: %d %s", got.Status, got.Body)
	}
}
