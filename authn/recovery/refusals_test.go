package recovery_test

import (
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Made-up tokens are counted as refused credentials, and a good one works from the same address.
func TestResetRefusals_attack_413(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	refusals, err := throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 3, Window: time.Hour}, Stop: throttle.Rate{Limit: 5, Window: time.Hour}})
	must(t, err)
	h := authn.New(authn.Chain{}, &authn.Options{Refusals: refusals, Logger: slog.New(slog.DiscardHandler)}).Public(w.Reset())
	reset := func(token, password, from string) int {
		r := httptest.NewRequest("POST", "https://app.example/", strings.NewReader(`{"token":"`+token+`","password":"`+password+`"}`))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = from + ":1"
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Code
	}
	const stranger, owner = "192.0.2.1", "203.0.113.1"
	refused := 0
	for range 100 {
		text, err := credential.MustFormat(recovery.Prefix).New(rand.Reader)
		must(t, err)
		if reset(text, "looking-glass-1", stranger) == 429 {
			refused++
		}
	}
	if refused < 90 {
		t.Errorf("100 made-up tokens: %d got 429", refused)
	}
	token := w.token()
	for range 10 {
		if code := reset(token, "short", owner); code != 400 {
			t.Errorf("a password that is refused: %d", code)
		}
	}
	if code := reset(token, "looking-glass-1", stranger); code != 204 {
		t.Errorf("a good token from the stranger's address: %d", code)
	}
}
