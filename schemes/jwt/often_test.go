package jwt_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
)

// A login that is refreshed without a pause must wait. Its token stays valid, reuse is still
// detected, and a logout works.
func TestRefreshedTooOften_attack_273(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	pair := w.issue(t)
	first := pair.Refresh
	for range storage.ExchangeBurst {
		next, status := w.refreshes(t, pair.Refresh)
		if status != 200 {
			t.Fatal(status)
		}
		pair = next
	}
	for range 2 {
		if rec := post(w.RefreshPair(), `{"refresh":"`+pair.Refresh+`"}`); rec.Code != 429 || rec.Header().Get("Retry-After") != "30" {
			t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
	}
	if got := w.status(pair.Access); got != 200 {
		t.Errorf("the access token: %d", got)
	}
	w.clock.Pass(storage.ExchangeEvery)
	pair, status := w.refreshes(t, pair.Refresh)
	if status != 200 {
		t.Fatalf("later: %d", status)
	}
	w.clock.Pass(time.Second)
	if _, status := w.refreshes(t, first); status != 401 {
		t.Errorf("the first token again: %d", status)
	}
	if _, status := w.refreshes(t, pair.Refresh); status != 401 {
		t.Errorf("after its reuse: %d", status)
	}
}
