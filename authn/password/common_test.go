package password_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/vestibule-auth/vestibule/authn/password"
)

// A password that attackers try first is rejected as a new password, but not at login.
func TestCommonPasswords_attack_270(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{Words: []string{"Vestibule"}})
	u := w.register(t, "alexander")
	for _, pw := range []string{
		"password", "Password", "PASSWORD1", "password123", "Password123!", "p@ssw0rd", "P@ssw0rd1", "Summer2024", "summer2024!", "Winter2025", "welcome1", "Welcome123", "letmein1",
		"iloveyou", "12345678", "123456789", "87654321", "11111111", "aaaaaaaa", "abcdefgh", "ABCDEFGHIJ", "abcabcabc", "12341234", "qwertyui", "QwertyUiop", "poiuytrewq", "1qaz2wsx", "1qaz2wsx3edc",
		"1q2w3e4r5t", "zaq12wsx", "asdfghjkl", "football1", "trustno1", "sunshine99", "monkey1234", "dragon2020", "  password  ", "contrase\u00f1a", "contrasen\u0303a", "Contrase\u00d1a1", "passwort1", "admin2024",
		"alexander", "Alexander1", "alexander-2024", "alexanderalexander", "alexander@example.com", "vestibule", "Vestibule123!", "vestibule2026",
	} {
		if err := w.checker.SetPassword(t.Context(), u.ID, pw); status(err) != 400 {
			t.Errorf("edge_C16: %+q: %v", pw, err)
		}
	}
	for _, pw := range []string{
		"wonderland-42", "bob-the-builder-42", "looking-glass-42", "iambobiambob", "correct horse battery", "alexander-in-wonderland", "tr0ub4dor&3-really", "Vestibule has two doors",
		"\u5bc6\u7801\u662f\u5f88\u957f\u7684\u5bc6\u7801", "a\nb-with-a-line", "\nwonderful\n-x", "94837261-05", "xkjwqpzr",
	} {
		if err := w.checker.SetPassword(t.Context(), u.ID, pw); err != nil {
			t.Errorf("edge_C16: %+q: %v", pw, err)
		}
	}
	t.Run("edge_C16/registration and change", func(t *testing.T) {
		if _, err := w.checker.Register(t.Context(), password.NewUser{Name: "bob", Password: "password1"}); status(err) != 400 {
			t.Errorf("registration: %v", err)
		}
		if _, err := w.checker.Register(t.Context(), password.NewUser{Name: "bob", Email: "robert.smith@example.com", Password: "robert.smith1"}); status(err) != 400 {
			t.Errorf("the e-mail address: %v", err)
		}
		must(t, w.checker.SetPassword(t.Context(), u.ID, secret))
		r := httptest.NewRequest("POST", "/", nil)
		if err := w.checker.ChangePassword(r, "alexander", secret, "Password123"); status(err) != 400 {
			t.Errorf("change: %v", err)
		}
	})
	t.Run("edge_C16/login", func(t *testing.T) {
		before, err := password.New(w.store, w.hasher, &password.Options{Limiter: w.limiter, InsecureAllowCommon: true})
		must(t, err)
		must(t, before.SetPassword(t.Context(), u.ID, "password1"))
		if _, err := w.login("alexander", "password1"); err != nil {
			t.Errorf("who has a common password: %v", err)
		}
	})
	t.Run("edge_C16/the only factor", func(t *testing.T) {
		alone, err := password.New(w.store, w.hasher, &password.Options{Limiter: w.limiter, MinLength: password.MinLengthAlone})
		must(t, err)
		for pw, want := range map[string]int{"fourteen-chars": 400, "fifteen-letters": 200} {
			if err := alone.SetPassword(t.Context(), u.ID, pw); status(err) != want {
				t.Errorf("%q: %v, want %d", pw, err, want)
			}
		}
	})
}

// The list is sorted, as the search requires, and each of its lines is found.
func TestCommonList(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(password.Common(), "\n"), "\n")
	if !slices.IsSorted(lines) || len(lines) < 10_000 || len(slices.Compact(slices.Clone(lines))) != len(lines) {
		t.Fatalf("edge_C16: %d lines, sorted %t", len(lines), slices.IsSorted(lines))
	}
	eight := 0
	for _, line := range lines {
		if len(line) >= 8 {
			eight++
		}
		if !password.IsListed(line) || line != strings.ToLower(norm.NFC.String(line)) {
			t.Errorf("%q is not found, or not in its normal form", line)
		}
	}
	if eight < 3000 {
		t.Errorf("edge_C16: %d of 8 characters or more", eight)
	}
	for _, s := range []string{"", "\n", "password\n", "passwor\nd", "\x00", "\xff", "zzzzzzzzzzzzzzzz", "passwor"} {
		if got := password.IsListed(s); got != slices.Contains(lines, s) {
			t.Errorf("%q: listed %t", s, got)
		}
	}
}

func FuzzCommon(f *testing.F) {
	for _, s := range []string{"password", "", "\n", "aaaa", "1qaz2wsx", "\xff\xfe", "caf\u00e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if password.IsCommon(s) != password.IsCommon(" "+s+" ") {
			t.Errorf("%q: blanks around it change the answer", s)
		}
	})
}
