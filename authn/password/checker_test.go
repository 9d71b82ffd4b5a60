package password_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestLogin(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	u := w.register(t, "Alice")
	must(t, w.store.SetSubjectPermissions(t.Context(), u.ID, []string{"app.x"}))
	n, err := w.store.BumpEpoch(t.Context(), u.ID)
	must(t, err)
	l, err := w.login(" ALICE ", secret)
	must(t, err)
	who, ok := l.User.(*storage.Account)
	if l.Subject != u.ID || l.Name != "alice" || l.Epoch != n || len(l.Cookies) != 1 || !ok || l.Roles[0] != "staff" {
		t.Errorf("%+v", l)
	}
	if has, err := who.HasPerm(t.Context(), "app.x"); !has || err != nil {
		t.Errorf("permissions do not come along: %t, %v", has, err)
	}
	if w.limiter.succeeded.Load() != 1 || w.slept != 0 {
		t.Errorf("given back %d, slept %v", w.limiter.succeeded.Load(), w.slept)
	}
}

func TestAttacksOnLogin(t *testing.T) {
	h := cheap()
	w := newWorld(t, h, password.Options{FailureFloor: time.Second})
	w.register(t, "alice")
	w.register(t, "disabled")
	disabled, err := w.store.UserByName(t.Context(), "disabled")
	must(t, err)
	must(t, w.store.SetActive(t.Context(), disabled.ID, false))
	for name, hash := range map[string]storage.PasswordHash{"unusable": "!abc", "sso": "", "malformed": "pbkdf2_sha256$x", "weak": "pbkdf2_sha256$1000$ftrDc7OYl17m$6V9Bl2wSaFp3sy77S+ED5gDyd/AEifojHyjYBQuFT8E="} {
		must(t, w.store.CreateUser(t.Context(), storage.User{ID: name, Name: name, Password: hash, Active: true}))
	}
	t.Run("attack_191_attack_192_one_answer_one_hash_one_floor", func(t *testing.T) {
		quiet := authn.New(authn.Chain{}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
		answers := make(map[string][]string)
		for name, pw := range map[string]string{
			"alice": "wrong", "nobody": secret, "disabled": secret, "unusable": "", "sso": "", "malformed": "x", "weak": "wrong",
			"a\x00b": secret, "\xff": secret, "": "x", strings.Repeat("x", 5000): secret, "a b": secret, "alice.": secret,
		} {
			before, slept, mark := h.Hashed(), w.slept, w.clock()
			_, err := w.login(name, pw)
			var e *authn.Error
			if !errors.As(err, &e) || e.Status != 401 || e.Detail != "Unable to log in with provided credentials." || e.Code != "invalid_credentials" {
				t.Errorf("%.20q: %v", name, err)
			}
			rec := httptest.NewRecorder()
			quiet.Respond(rec, httptest.NewRequest("POST", "/", nil), err)
			answer := fmt.Sprint(rec.Code, rec.Header(), rec.Body)
			answers[answer] = append(answers[answer], name)
			if n := h.Hashed() - before; n != 1 {
				t.Errorf("%.20q: %d hashes", name, n)
			}
			if w.slept-slept != time.Second || w.clock().Sub(mark) != time.Second {
				t.Errorf("%.20q: answered after %v", name, w.clock().Sub(mark))
			}
			if w.limiter.cancelled.Load() != 0 {
				t.Errorf("%.20q: its unit was given back", name)
			}
		}
		if len(answers) != 1 {
			t.Errorf("the answers differ: %.200q", answers)
		}
		for name, want := range map[string]string{
			"alice": "wrong password", "nobody": "unknown account", "disabled": "account disabled", "sso": "account without a usable password",
		} {
			if _, err := w.login(name, "wrong"); err == nil || !strings.HasPrefix(errors.Unwrap(err).Error(), want) ||
				strings.Contains(errors.Unwrap(err).Error(), ", subject") != (name != "nobody") {
				t.Errorf("%s: the log is told %v, want %s", name, err, want)
			}
		}
	})
	t.Run("attack_193_too_long", func(t *testing.T) {
		before, units := h.Hashed(), w.limiter.left.Load()
		for _, n := range []int{1025, 1 << 20} {
			if _, err := w.login("alice", strings.Repeat("x", n)); status(err) != 400 {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
		if h.Hashed() != before || w.limiter.left.Load() != units {
			t.Error("a password that is too long was hashed or counted")
		}
		if _, err := w.login("alice", strings.Repeat("x", 1024)); status(err) != 401 {
			t.Errorf("1024 bytes: %v", err)
		}
	})
	t.Run("attack_194_forms_of_a_password", func(t *testing.T) {
		// Passwords are not trimmed, and case counts. A decomposed é equals the composed one (see
		// TestUnicode).
		_, err := w.checker.Register(t.Context(), password.NewUser{Name: "eva", Password: " \u00e9-eight-bytes "})
		must(t, err)
		for pw, want := range map[string]int{" \u00e9-eight-bytes ": 200, " e\u0301-eight-bytes ": 200, "\u00e9-eight-bytes": 401} {
			if _, err := w.login("eva", pw); status(err) != want {
				t.Errorf("%q: %v, want %d", pw, err, want)
			}
		}
		for _, pw := range []string{" " + secret, secret + " ", strings.ToUpper(secret), "\uff57onderland-42", "wonder\u200bland-42", "wonderland\u201042"} {
			if _, err := w.login("alice", pw); status(err) != 401 {
				t.Errorf("%q: %v", pw, err)
			}
		}
	})
	t.Run("attack_195_attack_201_one_account_one_name", func(t *testing.T) {
		for _, name := range []string{"ALICE", "\uff21lice", " alice ", "aLiCe"} {
			w.limiter.accounts = nil
			if _, err := w.login(name, secret); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if len(w.limiter.accounts) != 1 || w.limiter.accounts[0] != "\x00alice" {
				t.Errorf("%q is counted as %q", name, w.limiter.accounts)
			}
			if _, err := w.checker.Register(t.Context(), password.NewUser{Name: name, Password: secret}); status(err) != 400 {
				t.Errorf("%q is a second account: %v", name, err)
			}
		}
	})
	t.Run("attack_199_guesses_at_once", func(t *testing.T) {
		before := h.Hashed()
		w.limiter.left.Store(10)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if _, err := w.login("alice", fmt.Sprint("guess", i)); status(err) != 401 && status(err) != 429 {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := h.Hashed() - before; n != 10 {
			t.Errorf("%d hashes for a limit of 10", n)
		}
		w.limiter.left.Store(1_000_000)
	})
	t.Run("attack_203_rehash_fails", func(t *testing.T) {
		if _, err := w.login("weak", "correct horse battery staple"); status(err) != 200 {
			t.Errorf("a weak hash: %v", err)
		}
		u, err := w.store.UserByName(t.Context(), "weak")
		must(t, err)
		if !strings.HasPrefix(string(u.Password), "$argon2id$") {
			t.Error("the hash was not renewed")
		}
		if _, err := w.login("weak", "correct horse battery staple"); status(err) != 200 {
			t.Errorf("the renewed hash: %v", err)
		}
		must(t, w.store.CreateUser(t.Context(), storage.User{ID: "w2", Name: "w2", Active: true, Password: "pbkdf2_sha256$1000$ftrDc7OYl17m$6V9Bl2wSaFp3sy77S+ED5gDyd/AEifojHyjYBQuFT8E="}))
		ro, err := password.New(noRehash{w.store}, h, &password.Options{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		if _, err := ro.CheckPassword(httptest.NewRequest("POST", "/", nil), "w2", "correct horse battery staple"); err != nil {
			t.Errorf("a failed rehash failed the login: %v", err)
		}
	})
	t.Run("store_is_down", func(t *testing.T) {
		down, err := password.New(broken{w.store}, h, &password.Options{Limiter: w.limiter})
		must(t, err)
		before, given := h.Hashed(), w.limiter.cancelled.Load()
		if _, err := down.CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", secret); status(err) != 503 {
			t.Errorf("got %v", err)
		}
		if h.Hashed() != before || w.limiter.cancelled.Load() != given+1 {
			t.Error("a login that could not be decided was hashed, or kept its unit")
		}
	})
}

type noRehash struct{ *memory.Store }

func (noRehash) ReplaceHash(context.Context, string, storage.PasswordHash, storage.PasswordHash) error {
	return errors.New("read-only")
}

type broken struct{ *memory.Store }

func (broken) UserByName(context.Context, string) (storage.User, error) {
	return storage.User{}, errors.New("down")
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	alice := w.register(t, "alice")
	r := httptest.NewRequest("POST", "/", nil)
	if err := w.checker.ChangePassword(r, "alice", "wrong", "new password"); status(err) != 400 || !strings.Contains(err.Error(), "old_password") {
		t.Errorf("a wrong old password: %v", err)
	}
	if err := w.checker.ChangePassword(r, "alice", secret, "short"); status(err) != 400 {
		t.Errorf("a short new password: %v", err)
	}
	left := w.limiter.left.Load()
	must(t, w.checker.ChangePassword(r, "alice", secret, "new password"))
	if w.limiter.left.Load() != left-1 {
		t.Error("the old password was not counted")
	}
	if _, err := w.login("alice", secret); status(err) != 401 {
		t.Errorf("the old password: %v", err)
	}
	l, err := w.login("alice", "new password")
	must(t, err)
	if l.Epoch <= alice.Epoch {
		t.Error("the epoch did not move")
	}
	if err := w.checker.SetPassword(r.Context(), "nobody", "new password"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("nobody's password: %v", err)
	}
	if err := w.checker.SetPassword(r.Context(), alice.ID, "short"); status(err) != 400 {
		t.Errorf("an administrator's short password: %v", err)
	}
}

func TestOwnUser(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{User: func(_ context.Context, u storage.Account) (authn.User, error) {
		if u.Name == "lost" {
			return nil, errors.New("no profile")
		}
		return own(u.ID), nil
	}})
	alice := w.register(t, "alice")
	w.register(t, "lost")
	if l, err := w.login("alice", secret); err != nil || l.User != own(alice.ID) {
		t.Errorf("%v, %v", l.User, err)
	}
	if l, err := w.login("lost", secret); status(err) != 503 || l.Subject != "" {
		t.Errorf("%+v, %v", l, err)
	}
}

type own string

func (o own) UserID() string { return string(o) }

func TestNew(t *testing.T) {
	for name, o := range map[string]password.Options{"floor": {FailureFloor: -1}, "least length": {MinLength: -1}, "length": {MinLength: password.MaxLength + 1}} {
		if _, err := password.New(memory.New(nil), cheap(), &o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := password.New(nil, cheap(), nil); err == nil {
		t.Error("no store was taken")
	}
	if _, err := password.New(memory.New(nil), nil, nil); err == nil {
		t.Error("no hasher was taken")
	}
}

func TestASCII(t *testing.T) {
	t.Run("attack_195_ascii_names", func(t *testing.T) {
		for name, want := range map[string]string{
			"alice": "alice", "ALICE": "alice", "a.b+c-d_e@Example.com": "a.b+c-d_e@example.com", strings.Repeat("X", 150): strings.Repeat("x", 150), "0": "0",
			// refused
			"": "", ".": "", "alice.": "", ".alice": "", " alice": "", "alice ": "", "a b": "", "a\x00": "", "a/b": "", strings.Repeat("x", 151): "",
			"\u212aelvin": "", "\u0130x": "", "\u0131x": "", "\u00e9va": "", "\uff21lice": "", "ali\u00adce": "", "\xff": "",
		} {
			got, err := password.ASCII(name)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%q: %q, %v; want %q", name, got, err, want)
			}
		}
	})
}
