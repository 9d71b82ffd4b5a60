package token_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		schemetest.Add(t, s, "alice")
		counting := schemetest.Watch(s)
		x := scheme(t, counting, schemetest.Ring(t), nil)
		good, err := x.GetOrCreate(ctx, "id-alice", 0)
		schemetest.Must(t, err)
		schemetest.Token{Scheme: x, Keyword: "Token", Good: good, Lookups: func() int64 { return counting.Calls() }}.Run(t)
		t.Run("attack_037_a_stolen_table", func(t *testing.T) {
			row, err := s.StaticTokenOf(ctx, "id-alice")
			schemetest.Must(t, err)
			for _, text := range []string{fmt.Sprintf("%x", row.Digest[:]), fmt.Sprintf("%x", row.Salt), fmt.Sprintf("%x", row.Digest[:20])} {
				if !refused(t, x, text) {
					t.Error("a column of the table is a token")
				}
			}
			other := scheme(t, s, schemetest.Ring(t), nil) // the thief has no master key
			if _, err := other.Authenticate(schemetest.With("Token " + good)); err == nil {
				t.Error("a ring without the master key takes the token")
			}
		})
		t.Run("epochs_are_compared_for_equality", func(t *testing.T) {
			// The epoch of a static token is compared for equality, so a difference of one
			// microsecond in either direction revokes the token.
			row, err := s.StaticTokenOf(ctx, "id-alice")
			schemetest.Must(t, err)
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
			schemetest.Add(t, s, "bob")
			dry := scheme(t, s, schemetest.Ring(t), &token.Options{Rand: schemetest.NoEntropy{}})
			if text, err := dry.GetOrCreate(ctx, "id-bob", 0); err == nil || text != "" {
				t.Errorf("got %q, %v", text, err)
			}
			w := httptest.NewRecorder()
			dry.Login(schemetest.Anyone{Subject: "id-bob"}).ServeHTTP(w, form("bob", "x"))
			if w.Code != 503 {
				t.Errorf("login without random bytes: %d", w.Code)
			}
			if _, err := s.StaticTokenOf(ctx, "id-bob"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("a token was written: %v", err)
			}
		})
		t.Run("attack_051_read_only", func(t *testing.T) {
			// A check does not write, so a store that cannot write is sufficient.
			if _, err := scheme(t, readOnly(s), schemetest.Ring(t), nil).Authenticate(schemetest.With("Token junk")); !errors.Is(err, authn.ErrUnrecognized) {
				t.Errorf("got %v", err)
			}
			ro := scheme(t, readOnly(s), sharedRing, nil)
			rw := scheme(t, s, sharedRing, nil)
			schemetest.Add(t, s, "carol")
			text, err := rw.GetOrCreate(ctx, "id-carol", 0)
			schemetest.Must(t, err)
			if refused(t, ro, text) {
				t.Error("a check needs to write")
			}
			if again, err := ro.GetOrCreate(ctx, "id-carol", 0); err != nil || again != text {
				t.Errorf("a second login needs to write: %v", err)
			}
		})
		t.Run("attack_044_attack_045_disabled_and_deleted", func(t *testing.T) {
			schemetest.Add(t, s, "dave")
			text, err := x.GetOrCreate(ctx, "id-dave", 0)
			schemetest.Must(t, err)
			schemetest.Must(t, s.SetActive(ctx, "id-dave", false))
			if !refused(t, x, text) {
				t.Error("a disabled account's token works")
			}
			schemetest.Must(t, s.DeleteUser(ctx, "id-dave"))
			schemetest.Add(t, s, "dave") // the id again
			if !refused(t, x, text) {
				t.Error("a deleted account's token works for the next one of that id")
			}
		})
		t.Run("attack_050_twice", func(t *testing.T) {
			row, err := s.StaticTokenOf(ctx, "id-alice")
			schemetest.Must(t, err)
			if err := s.PutStaticToken(ctx, row, storage.Digest{}); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("attack_034_changed_hex_tokens", func(t *testing.T) {
		s := schemetest.Watch(memory.New(nil))
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, schemetest.Ring(t), &token.Options{Format: token.Hex40})
		good, err := x.GetOrCreate(t.Context(), "id-alice", 0)
		schemetest.Must(t, err)
		for text, want := range map[string]int64{strings.ToUpper(good[:39]) + "A": 0, good[:39]: 0, good + good: 0, good + "0": 0, "g" + good[1:]: 0, strings.Repeat("0", 40): 1} {
			before := s.Calls()
			if !refused(t, x, text) || s.Calls()-before > want {
				t.Errorf("%s was taken, or cost %d look-ups", text, s.Calls()-before)
			}
		}
	})
	t.Run("attack_048_collisions", func(t *testing.T) {
		s := schemetest.Watch(memory.New(nil)).Fail(storage.ErrConflict, "PutStaticToken") // has every digest already
		schemetest.Add(t, s, "alice")
		_, err := scheme(t, s, schemetest.Ring(t), nil).GetOrCreate(t.Context(), "id-alice", 0)
		if err == nil || s.Calls("PutStaticToken") != 4 {
			t.Errorf("%d tries, %v: want one and three more, then an error", s.Calls("PutStaticToken"), err)
		}
		w := httptest.NewRecorder()
		scheme(t, s, schemetest.Ring(t), nil).Login(schemetest.Anyone{Subject: "id-alice"}).ServeHTTP(w, form("alice", "x"))
		if w.Code != 503 {
			t.Errorf("login: %d", w.Code)
		}
	})
}
