package consent_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A user who tried too many codes is refused without a write until the window ends, and no longer.
func TestTooManyCodesWriteNothing(t *testing.T) {
	t.Run("attack_300", func(t *testing.T) {
		store := &oauthtest.Writes{Store: memory.New(nil)}
		w := oauthtest.NewDevices(t, store, nil)
		alice := w.Alice("s1")
		b := w.Begin()
		wrong := func() int { return w.DevicePage(alice, "POST", "user_code=BBBB-BBBB").Code }
		for range 10 {
			if got := wrong(); got != 400 {
				t.Fatal(got)
			}
		}
		w.Pass(time.Minute)
		if got := wrong(); got != 429 {
			t.Fatal(got)
		}
		before := store.N.Load()
		for range 5 {
			rec := w.DevicePage(alice, "POST", "user_code="+b.User)
			if rec.Code != 429 || rec.Header().Get("Retry-After") != "840" {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		}
		if n := store.N.Load() - before; n != 0 {
			t.Errorf("%d writes", n)
		}
		w.Pass(14 * time.Minute)
		b = w.Begin()
		if rec := w.DevicePage(alice, "POST", "user_code="+b.User); rec.Code != 200 {
			t.Errorf("after the window: %d", rec.Code)
		}
	})
}

// A store that fails is no wrong code: the user who tries again later still has the ten tries.
func TestFaultsAreNoTries(t *testing.T) {
	for name, fail := range map[string]func(*oauthtest.Writes, bool){
		"the lookup":                    func(s *oauthtest.Writes, on bool) { s.FailFind.Store(on) },
		"taking a try back":             func(s *oauthtest.Writes, on bool) { s.FailForgive.Store(on) },
		"the lookup, then taking back ": func(s *oauthtest.Writes, on bool) { s.FailFind.Store(on); s.FailForgive.Store(on) },
	} {
		t.Run("attack_310/"+name, func(t *testing.T) {
			store := &oauthtest.Writes{Store: memory.New(nil)}
			w := oauthtest.NewDevices(t, store, nil)
			alice := w.Alice("s1")
			b := w.Begin()
			for range 12 {
				fail(store, true)
				if rec := w.DevicePage(alice, "POST", "user_code="+b.User); rec.Code != 503 {
					t.Fatalf("a fault: %d", rec.Code)
				}
				fail(store, false)
			}
			for range 9 {
				if rec := w.DevicePage(alice, "POST", "user_code=BBBB-BBBB"); rec.Code != 400 {
					t.Fatalf("a wrong code: %d", rec.Code)
				}
			}
			if rec := w.DevicePage(alice, "POST", "user_code="+b.User); rec.Code != 200 {
				t.Errorf("the right code: %d", rec.Code)
			}
		})
	}
}

// A try that was taken back is not taken back again because the answer was lost.
func TestForgivenOnce_attack_332(t *testing.T) {
	store := &oauthtest.Writes{Store: memory.New(nil)}
	w := oauthtest.NewDevices(t, store, nil)
	alice := w.Alice("s1")
	b := w.Begin()
	wrong := func() int { return w.DevicePage(alice, "POST", "user_code=BBBB-BBBB").Code }
	for range 9 {
		if got := wrong(); got != 400 {
			t.Fatal(got)
		}
	}
	for range 5 {
		store.LoseForgive.Store(true)
		if rec := w.DevicePage(alice, "POST", "user_code="+b.User); rec.Code != 503 {
			t.Fatalf("a lost answer: %d", rec.Code)
		}
		store.LoseForgive.Store(false)
	}
	if got := wrong(); got != 400 {
		t.Errorf("the tenth: %d", got)
	}
	if got := wrong(); got != 429 {
		t.Errorf("the eleventh: %d", got)
	}
}
