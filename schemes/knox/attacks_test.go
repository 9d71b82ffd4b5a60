package knox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		ctx := t.Context()
		schemetest.Add(t, s, "alice")
		counted := schemetest.Watch(s)
		x := scheme(t, counted, nil)
		good, rec := issue(t, x, "id-alice", knox.Token{})
		lookups := func() int64 { return counted.Calls("CredentialByDigest") }
		schemetest.Token{Scheme: x, Keyword: "Knox", Good: good, Lookups: lookups}.Run(t)
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
			schemetest.Add(t, s, "dave")
			text, _ := issue(t, x, "id-dave", knox.Token{})
			schemetest.Must(t, s.SetActive(ctx, "id-dave", false))
			if !refused(t, x, text) {
				t.Error("a disabled account's token works")
			}
			schemetest.Must(t, s.SetActive(ctx, "id-dave", true))
			text, _ = issue(t, x, "id-dave", knox.Token{})
			schemetest.Must(t, s.DeleteUser(ctx, "id-dave"))
			if !refused(t, x, text) {
				t.Error("a deleted account's token works")
			}
			schemetest.Add(t, s, "dave") // the id again
			if list, err := x.List(ctx, "id-dave"); !refused(t, x, text) || err != nil || len(list) > 0 {
				t.Errorf("a deleted account's token works for the next one of that id, or is listed: %v, %v", list, err)
			}
		})
		t.Run("attack_047_equal_beginnings", func(t *testing.T) {
			// The texts of two tokens differ only in the last byte of 32. Tokens are looked up by
			// the digest of the whole text, so both work and each costs one query.
			schemetest.Add(t, s, "erin")
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
				before := lookups()
				if bad := refused(t, x, text); bad || lookups() != before+1 {
					t.Errorf("%d look-ups, or refused", lookups()-before)
				}
			}
		})
		t.Run("attack_049_no_random_bytes", func(t *testing.T) {
			schemetest.Add(t, s, "bob")
			y := scheme(t, s, &knox.Options{Rand: schemetest.NoEntropy{}})
			if text, _, err := y.Issue(ctx, "id-bob", 0, knox.Token{}); err == nil || text != "" {
				t.Errorf("got %q, %v", text, err)
			}
			if w := schemetest.Do(y.Login(schemetest.Anyone{Subject: "id-bob"}), schemetest.Post(login)); w.Code != 503 {
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
			if id, err := x.Authenticate(schemetest.With("Knox " + good)); err != nil || id.Credential.(*storage.Credential).Name != "" {
				t.Errorf("the first was replaced: %+v, %v", id, err)
			}
		})
		t.Run("attack_048_collisions", func(t *testing.T) {
			schemetest.Add(t, s, "frank")
			one := append(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16)...)
			first, _ := issue(t, scheme(t, s, &knox.Options{Rand: bytes.NewReader(one)}), "id-frank", knox.Token{})
			// The same random bytes three times, and then others.
			y := scheme(t, s, &knox.Options{Rand: bytes.NewReader(append(bytes.Repeat(one, 3), bytes.Repeat([]byte{3}, 48)...))})
			if second, _ := issue(t, y, "id-frank", knox.Token{}); second == first || refused(t, x, first) || refused(t, x, second) {
				t.Error("a collision was not drawn anew")
			}
			taken := schemetest.Watch(s).Fail(storage.ErrConflict, "CreateCredential") // has every digest already
			y = scheme(t, taken, nil)
			if text, _, err := y.Issue(ctx, "id-frank", 0, knox.Token{}); err == nil || text != "" || taken.Calls("CreateCredential") != 4 {
				t.Errorf("%d tries, %v: want one and three more, then an error", taken.Calls("CreateCredential"), err)
			}
			if w := schemetest.Do(y.Login(schemetest.Anyone{Subject: "id-frank"}), schemetest.Post(login)); w.Code != 503 {
				t.Errorf("login: %d", w.Code)
			}
		})
	})
}

// An application's table may report that an account is disabled, and a store may return a token of
// an earlier epoch. Both are rejected.
func TestDisabledWithoutAnEpoch(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
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
