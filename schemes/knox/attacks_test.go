package knox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		ctx := t.Context()
		add(t, s, "alice")
		counted := &counter{store: s}
		x := scheme(t, counted, nil)
		good, rec := issue(t, x, "id-alice", knox.Token{})
		lookups := func(value string) int64 {
			before := counted.reads.Load()
			refused(t, x, value)
			return counted.reads.Load() - before
		}
		t.Run("attack_034_changed_tokens", func(t *testing.T) {
			n := len(good)
			bad := []string{good[:n-1], good + good, strings.ToUpper(good), good + "A", good[1:], good + "=", "vkn_", strings.Replace(good, "_", "-", 1), good[:4] + good[5:] + good[4:5]}
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
			for _, text := range []string{"%", "_", "vkn_%", "vkn_" + strings.Repeat("_", 49), "'OR/**/1=1--", "vkn_" + strings.Repeat("%", 49), "*", "\\"} {
				if n := lookups(text); n != 0 || !refused(t, x, text) {
					t.Errorf("%q: %d look-ups", text, n)
				}
			}
		})
		t.Run("attack_037_a_stolen_table", func(t *testing.T) {
			for _, text := range []string{fmt.Sprintf("%x", rec.Digest[:]), rec.ID, "vkn_" + rec.ID, fmt.Sprintf("vkn_%x", rec.Digest[:])} {
				if !refused(t, x, text) {
					t.Error("a column of the table is a token")
				}
			}
		})
		t.Run("epochs_are_compared_for_equality", func(t *testing.T) {
			for _, d := range []int64{-1, 1} {
				if _, _, err := x.Issue(ctx, "id-alice", rec.Epoch+d, knox.Token{}); !errors.Is(err, storage.ErrStale) {
					t.Errorf("epoch %+d: %v", d, err)
				}
			}
		})
		t.Run("attack_044_attack_045_disabled_and_deleted", func(t *testing.T) {
			add(t, s, "dave")
			text, _ := issue(t, x, "id-dave", knox.Token{})
			must(t, s.SetActive(ctx, "id-dave", false))
			if !refused(t, x, text) {
				t.Error("a disabled account's token works")
			}
			must(t, s.SetActive(ctx, "id-dave", true))
			text, _ = issue(t, x, "id-dave", knox.Token{})
			must(t, s.DeleteUser(ctx, "id-dave"))
			if !refused(t, x, text) {
				t.Error("a deleted account's token works")
			}
			add(t, s, "dave") // the id again
			if list, err := x.List(ctx, "id-dave"); !refused(t, x, text) || err != nil || len(list) > 0 {
				t.Errorf("a deleted account's token works for the next one of that id, or is listed: %v, %v", list, err)
			}
		})
		t.Run("attack_047_equal_beginnings", func(t *testing.T) {
			// Two tokens that differ in the last byte of 32: nothing is looked up by a
			// part of the text, so both work and each costs one look-up.
			add(t, s, "erin")
			texts := make([]string, 2)
			for i := range texts {
				random := append(bytes.Repeat([]byte{42}, 31), byte(i*64))
				y := scheme(t, s, &knox.Options{Rand: bytes.NewReader(append(random, bytes.Repeat([]byte{byte(i)}, 16)...))})
				texts[i], _ = issue(t, y, "id-erin", knox.Token{})
			}
			if texts[0][:45] != texts[1][:45] || texts[0] == texts[1] {
				t.Fatal(texts)
			}
			for _, text := range texts {
				if n := lookups(text); n != 1 || refused(t, x, text) {
					t.Errorf("%d look-ups, or refused", n)
				}
			}
		})
		t.Run("attack_049_no_random_bytes", func(t *testing.T) {
			add(t, s, "bob")
			y := scheme(t, s, &knox.Options{Rand: dry{}})
			if text, _, err := y.Issue(ctx, "id-bob", 0, knox.Token{}); err == nil || text != "" {
				t.Errorf("got %q, %v", text, err)
			}
			if w := do(y.Login(anyone{subject: "id-bob"}), post(login)); w.Code != 503 {
				t.Errorf("login without random bytes: %d", w.Code)
			}
			if list, err := y.List(ctx, "id-bob"); err != nil || len(list) > 0 {
				t.Errorf("a token was written: %v, %v", list, err)
			}
		})
		t.Run("attack_050_twice", func(t *testing.T) {
			for name, change := range map[string]func(*storage.Credential){
				"digest": func(t *storage.Credential) { t.ID = "another" },
				"id":     func(t *storage.Credential) { t.Digest = storage.DigestOf("another") },
			} {
				again := rec
				change(&again)
				again.Name = "again"
				if _, err := s.CreateCredential(ctx, again, storage.CredentialLimit{}); !errors.Is(err, storage.ErrConflict) {
					t.Errorf("%s: got %v", name, err)
				}
			}
			if id, err := x.Authenticate(with("Knox " + good)); err != nil || id.Credential.(*storage.Credential).Name != "" {
				t.Errorf("the first was replaced: %+v, %v", id, err)
			}
		})
		t.Run("attack_048_collisions", func(t *testing.T) {
			add(t, s, "frank")
			one := append(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16)...)
			first, _ := issue(t, scheme(t, s, &knox.Options{Rand: bytes.NewReader(one)}), "id-frank", knox.Token{})
			// The same bytes, three times, and then others.
			y := scheme(t, s, &knox.Options{Rand: bytes.NewReader(append(bytes.Repeat(one, 3), bytes.Repeat([]byte{3}, 48)...))})
			if second, _ := issue(t, y, "id-frank", knox.Token{}); second == first || refused(t, x, first) || refused(t, x, second) {
				t.Error("a collision was not drawn anew")
			}
			taken := &colliding{store: s}
			y = scheme(t, taken, nil)
			if text, _, err := y.Issue(ctx, "id-frank", 0, knox.Token{}); err == nil || text != "" || taken.tries.Load() != 4 {
				t.Errorf("%d tries, %v: want one and three more, then an error", taken.tries.Load(), err)
			}
			if w := do(y.Login(anyone{subject: "id-frank"}), post(login)); w.Code != 503 {
				t.Errorf("login: %d", w.Code)
			}
		})
	})
}

// colliding has every digest already.
type colliding struct {
	store
	tries atomic.Int64
}

func (c *colliding) CreateCredential(context.Context, storage.Credential, storage.CredentialLimit) ([]storage.Credential, error) {
	c.tries.Add(1)
	return nil, storage.ErrConflict
}

// An application's own table may say that an account is disabled, and a store may
// hand out a token of an earlier epoch: neither is taken.
func TestDisabledWithoutAnEpoch(t *testing.T) {
	s := memory.New(nil)
	add(t, s, "alice")
	text, _ := issue(t, scheme(t, s, nil), "id-alice", knox.Token{})
	for name, change := range map[string]func(*storage.User){
		"disabled": func(u *storage.User) { u.Active = false }, "a later epoch": func(u *storage.User) { u.Epoch++ }, "an earlier epoch": func(u *storage.User) { u.Epoch-- },
	} {
		if !refused(t, scheme(t, changed{s, change}, nil), text) {
			t.Errorf("%s: taken", name)
		}
	}
}

type changed struct {
	store
	change func(*storage.User)
}

func (s changed) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	t, u, err := s.store.CredentialByDigest(ctx, purpose, d)
	s.change(&u)
	return t, u, err
}
