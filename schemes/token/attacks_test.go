package token_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		add(t, s, "alice")
		counting := &counter{Store: s}
		x := scheme(t, counting, ring(t), nil)
		good, err := x.GetOrCreate(ctx, "id-alice", 0)
		must(t, err)
		lookups := func(value string) int64 {
			before := counting.n.Load()
			refused(t, x, value)
			return counting.n.Load() - before
		}
		t.Run("attack_034_changed_tokens", func(t *testing.T) {
			n := len(good)
			bad := []string{good[:n-1], good + good, strings.ToUpper(good), good + "A", good[1:], good + "=", "vst_", strings.Replace(good, "_", "-", 1), good[:4] + good[5:] + good[4:5]}
			for i := range n {
				for _, c := range []byte{'A', 'z', '0', '_'} {
					if good[i] != c {
						bad = append(bad, good[:i]+string(c)+good[i+1:])
					}
				}
			}
			for _, text := range bad {
				if text == good {
					continue
				}
				if n := lookups(text); n > 1 {
					t.Errorf("%d look-ups", n)
				}
				if !refused(t, x, text) {
					t.Errorf("%s was taken", text)
				}
			}
			if n := lookups(good); n != 1 {
				t.Errorf("%d look-ups for a good token", n)
			}
		})
		t.Run("attack_035_guesses", func(t *testing.T) {
			guess := []byte(good)
			taken := 0
			for i := range 100_000 {
				guess[10+i%30] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i*7%32]
				if string(guess) != good && !refused(t, x, string(guess)) {
					taken++
				}
			}
			if taken > 0 {
				t.Errorf("%d guesses were taken", taken)
			}
		})
		t.Run("attack_036_wildcards", func(t *testing.T) {
			for _, text := range []string{"%", "_", "vst_%", "vst_" + strings.Repeat("_", 49), "'OR/**/1=1--", "vst_" + strings.Repeat("%", 49), "*", "\\"} {
				if n := lookups(text); n != 0 || !refused(t, x, text) {
					t.Errorf("%q: %d look-ups", text, n)
				}
			}
		})
		t.Run("attack_037_a_stolen_table", func(t *testing.T) {
			row, err := s.StaticTokenOf(ctx, "id-alice")
			must(t, err)
			for _, text := range []string{fmt.Sprintf("%x", row.Digest[:]), fmt.Sprintf("%x", row.Salt), fmt.Sprintf("%x", row.Digest[:20])} {
				if !refused(t, x, text) {
					t.Error("a column of the table is a token")
				}
			}
			other := scheme(t, s, ring(t), nil) // the thief has no master key
			if _, err := other.Authenticate(with("Token " + good)); err == nil {
				t.Error("a ring without the master key takes the token")
			}
		})
		t.Run("epochs_are_compared_for_equality", func(t *testing.T) {
			// A static token ends by epoch, compared for equality: one microsecond either
			// way is another epoch.
			row, err := s.StaticTokenOf(ctx, "id-alice")
			must(t, err)
			for _, d := range []int64{-1, 1} {
				put := row
				put.Epoch += d
				if err := s.PutStaticToken(ctx, put, row.Digest); !errors.Is(err, storage.ErrStale) && !errors.Is(err, storage.ErrConflict) {
					t.Errorf("epoch %+d: %v", d, err)
				}
			}
			if refused(t, x, good) {
				t.Error("refused at its own epoch")
			}
		})
		t.Run("attack_049_no_random_bytes", func(t *testing.T) {
			add(t, s, "bob")
			dry := scheme(t, s, ring(t), &token.Options{Rand: iotest{}})
			if text, err := dry.GetOrCreate(ctx, "id-bob", 0); err == nil || text != "" {
				t.Errorf("got %q, %v", text, err)
			}
			w := httptest.NewRecorder()
			dry.Login(anyone{"id-bob"}).ServeHTTP(w, form("bob", "x"))
			if w.Code != 503 {
				t.Errorf("login without random bytes: %d", w.Code)
			}
			if _, err := s.StaticTokenOf(ctx, "id-bob"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("a token was written: %v", err)
			}
		})
		t.Run("attack_051_read_only", func(t *testing.T) {
			// There is no write on the way of a check: a store that cannot write serves.
			if _, err := scheme(t, readOnly{s}, ring(t), nil).Authenticate(with("Token junk")); !errors.Is(err, authn.ErrUnrecognized) {
				t.Errorf("got %v", err)
			}
			ro := scheme(t, readOnly{s}, sharedRing, nil)
			rw := scheme(t, s, sharedRing, nil)
			add(t, s, "carol")
			text, err := rw.GetOrCreate(ctx, "id-carol", 0)
			must(t, err)
			if refused(t, ro, text) {
				t.Error("a check needs to write")
			}
			if again, err := ro.GetOrCreate(ctx, "id-carol", 0); err != nil || again != text {
				t.Errorf("a second login needs to write: %v", err)
			}
		})
		t.Run("attack_044_attack_045_disabled_and_deleted", func(t *testing.T) {
			add(t, s, "dave")
			text, err := x.GetOrCreate(ctx, "id-dave", 0)
			must(t, err)
			must(t, s.SetActive(ctx, "id-dave", false))
			if !refused(t, x, text) {
				t.Error("a disabled account's token works")
			}
			must(t, s.DeleteUser(ctx, "id-dave"))
			add(t, s, "dave") // the id again
			if !refused(t, x, text) {
				t.Error("a deleted account's token works for the next one of that id")
			}
		})
		t.Run("attack_050_twice", func(t *testing.T) {
			row, err := s.StaticTokenOf(ctx, "id-alice")
			must(t, err)
			if err := s.PutStaticToken(ctx, row, storage.Digest{}); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("attack_034_changed_hex_tokens", func(t *testing.T) {
		s := &counter{Store: memory.New(nil)}
		must(t, s.Store.(*memory.Store).CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true}))
		x := scheme(t, s, ring(t), &token.Options{Format: token.Hex40})
		good, err := x.GetOrCreate(t.Context(), "id-alice", 0)
		must(t, err)
		for text, want := range map[string]int64{strings.ToUpper(good[:39]) + "A": 0, good[:39]: 0, good + good: 0, good + "0": 0, "g" + good[1:]: 0, strings.Repeat("0", 40): 1} {
			before := s.n.Load()
			if !refused(t, x, text) || s.n.Load()-before > want {
				t.Errorf("%s was taken, or cost %d look-ups", text, s.n.Load()-before)
			}
		}
	})
	t.Run("attack_048_collisions", func(t *testing.T) {
		s := &colliding{Store: memory.New(nil)}
		add(t, s, "alice")
		_, err := scheme(t, s, ring(t), nil).GetOrCreate(t.Context(), "id-alice", 0)
		if err == nil || s.tries.Load() != 4 {
			t.Errorf("%d tries, %v: want one and three more, then an error", s.tries.Load(), err)
		}
		w := httptest.NewRecorder()
		scheme(t, s, ring(t), nil).Login(anyone{"id-alice"}).ServeHTTP(w, form("alice", "x"))
		if w.Code != 503 {
			t.Errorf("login: %d", w.Code)
		}
	})
}
