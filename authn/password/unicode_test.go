package password_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
)

// Vectors: composed, decomposed, and letters that look alike.
const (
	composed   = "caf\u00e9-au-lait-42"
	decomposed = "cafe\u0301-au-lait-42"
)

// A password is the same whichever way a keyboard encodes it.
func TestUnicode(t *testing.T) {
	for name, x := range map[string]struct {
		set   string
		tries map[string]int
	}{
		"composed":     {composed, map[string]int{composed: 200, decomposed: 200, "cafe-au-lait-42": 401, "caf\uff45\u0301-au-lait-42": 401}},
		"decomposed":   {decomposed, map[string]int{composed: 200, decomposed: 200}},
		"full width":   {"wonderland-42", map[string]int{"\uff57onderland-42": 401, "wonderland\uff0d42": 401, "wonderland-4\u00b2": 401}},
		"full width 2": {"\uff57onderland-42", map[string]int{"\uff57onderland-42": 200, "wonderland-42": 401}},
		"ligature":     {"o\ufb03ce-building-42", map[string]int{"o\ufb03ce-building-42": 200, "office-building-42": 401}},
		"Hangul":       {"\ud55c\uae00-\ube44\ubc00\ubc88\ud638-42", map[string]int{norm.NFD.String("\ud55c\uae00-\ube44\ubc00\ubc88\ud638-42"): 200}},
		"Angstrom":     {"\u212bngstrom-unit-42", map[string]int{"\u00c5ngstrom-unit-42": 200, "A\u030angstrom-unit-42": 200}},
		"two marks":    {"q\u0307\u0323-two-marks-42", map[string]int{"q\u0323\u0307-two-marks-42": 200}},
		"emoji":        {"\U0001f468\u200d\U0001f469\u200d\U0001f467-family-42", map[string]int{"\U0001f468\u200d\U0001f469\u200d\U0001f467-family-42": 200, "\U0001f468\U0001f469\U0001f467-family-42": 401}},
		"zero width":   {"wonder-land-42", map[string]int{"wonder\u200b-land-42": 401, "wonder-land-42\ufeff": 401}},
		"not UTF-8":    {"wonder-land-42", map[string]int{"\xffwonder-land-42": 401, "wonder-land-42\xcc": 401, "e\xcc\x81\xff": 401}},
	} {
		t.Run("edge_C15/"+name, func(t *testing.T) {
			w := newWorld(t, cheap(), password.Options{})
			_, err := w.checker.Register(t.Context(), password.NewUser{Name: "eva", Password: x.set})
			must(t, err)
			for try, want := range x.tries {
				if _, err := w.login("eva", try); status(err) != want {
					t.Errorf("%+q: %v, want %d", try, err, want)
				}
			}
		})
	}
}

// A password that was hashed as typed by an earlier version stays valid, and its hash is replaced
// by one of NFC at login.
func TestUnicodeOfBefore(t *testing.T) {
	ctx := t.Context()
	h := cheap()
	raw, err := h.Hash(ctx, "", decomposed)
	must(t, err)
	for name, x := range map[string]struct {
		opts     password.Options
		composed int
		kept     bool
	}{
		"edge_C15/upgrade":  {password.Options{}, 200, false},
		"edge_C15/never":    {password.Options{Rehash: password.RehashNever}, 401, true},
		"edge_C15/verbatim": {password.Options{Verbatim: true}, 401, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, h, x.opts)
			must(t, w.store.CreateUser(ctx, storage.User{ID: "1", Name: "eva", Password: raw, Active: true}))
			if _, err := w.login("eva", composed); status(err) != 401 {
				t.Errorf("composed, before: %v", err)
			}
			if _, err := w.login("eva", decomposed); err != nil {
				t.Errorf("as typed: %v", err)
			}
			if _, err := w.login("eva", composed); status(err) != x.composed {
				t.Errorf("composed, after: %v, want %d", err, x.composed)
			}
			if u, err := w.store.UserByID(ctx, "1"); err != nil || (u.Password == raw) != x.kept {
				t.Errorf("the hash is kept: %t, want %t (%v)", u.Password == raw, x.kept, err)
			}
		})
	}
	t.Run("edge_C15/verbatim registration", func(t *testing.T) {
		w := newWorld(t, h, password.Options{Verbatim: true})
		_, err := w.checker.Register(ctx, password.NewUser{Name: "eva", Password: decomposed})
		must(t, err)
		for try, want := range map[string]int{decomposed: 200, composed: 401} {
			if _, err := w.login("eva", try); status(err) != want {
				t.Errorf("%+q: %v, want %d", try, err, want)
			}
		}
	})
}

// Every failure costs the same number of hashes, at most two. The number depends on the typed
// password, not on the account.
func TestUnicodeCosts(t *testing.T) {
	ctx := t.Context()
	h := cheap()
	w := newWorld(t, h, password.Options{})
	u, err := w.checker.Register(ctx, password.NewUser{Name: "eva", Password: decomposed})
	must(t, err)
	_, err = w.checker.Register(ctx, password.NewUser{Name: "off", Password: composed})
	must(t, err)
	off, err := w.store.UserByName(ctx, "off")
	must(t, err)
	must(t, w.store.SetActive(ctx, off.ID, false))
	must(t, w.store.CreateUser(ctx, storage.User{ID: "x", Name: "unusable", Password: "!", Active: true}))
	for form, want := range map[string]int64{"wrong-in-ascii": 1, "wr\u00f6ng-composed": 1, "wro\u0308ng-decomposed": 2, decomposed + "x": 2, "e\u0301\xff": 1} {
		for _, name := range []string{"eva", "nobody", "off", "unusable", "no name\x00"} {
			before := h.Hashed()
			if _, err := w.login(name, form); status(err) != 401 {
				t.Errorf("%s, %+q: %v", name, form, err)
			}
			if n := h.Hashed() - before; n != want {
				t.Errorf("edge_C15: %s, %+q: %d hashes, want %d", name, form, n, want)
			}
		}
	}
	before := h.Hashed() // the right password of a disabled account, in the form that is stored
	if _, err := w.login("off", decomposed); status(err) != 401 || h.Hashed()-before != 2 {
		t.Errorf("edge_C15: disabled: %v, %d hashes", err, h.Hashed()-before)
	}
	t.Run("edge_C15/length counts in NFC", func(t *testing.T) {
		seven := strings.Repeat("e\u0301", 7) // 14 code points, 7 characters
		if err := w.checker.SetPassword(ctx, u.ID, seven); status(err) != 400 {
			t.Errorf("7 characters: %v", err)
		}
		long := strings.Repeat("\u00e9", 512) // 1,024 bytes composed and 1,536 decomposed
		if err := w.checker.SetPassword(ctx, u.ID, long); status(err) != 400 {
			t.Errorf("a password that is too long in one of its forms: %v", err)
		}
	})
}

// If the queue is full between the two hashes of an attempt, the response is 503 and the attempt
// counts. Otherwise strangers who fill the queue could guess without being counted.
func TestUnicodeQueue(t *testing.T) {
	h, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: time.Millisecond})
	must(t, err)
	w := newWorld(t, h, password.Options{})
	w.register(t, "alice")
	ended, held := 0, false
	h.OnHash(func() {}, func() { ended++ })
	c, err := password.New(w.store, h, &password.Options{Limiter: w.limiter, Sleep: w.sleep, Clock: func() time.Time {
		if ended == 1 && !held { // between the forms somebody else takes the slot
			held = true
			release, err := h.Hold(context.Background(), "198.51.100.1")
			must(t, err)
			t.Cleanup(release)
		}
		return w.clock()
	}})
	must(t, err)
	ended = 0
	_, err = c.CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", "wro\u0308ng-decomposed")
	if busy := (*authn.Unavailable)(nil); !errors.As(err, &busy) {
		t.Fatalf("edge_C15: %v, want that the server is busy", err)
	}
	if n := w.limiter.cancelled.Load(); n != 0 {
		t.Error("edge_C15: a guess was given back")
	}
}
