package username_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/username"
)

func TestCanonical(t *testing.T) {
	t.Run("attack_195_one_form", func(t *testing.T) {
		for name, want := range map[string]string{
			"alice": "alice", "ALICE": "alice", " Alice ": "alice", "\uff21lice": "alice", "\u212aelvin": "kelvin", "e\u0301va": "\u00e9va", "\u00c9VA": "\u00e9va",
			"юлия": "юлия", "ЮЛИЯ": "юлия", "田中": "田中", "a.b+c-d_e@example.com": "a.b+c-d_e@example.com", "\u0131x": "\u0131x", "\u0130x": "i\u0307x",
			"ΟΔΟΣ": "οδοσ", "οδος": "οδοσ", "stra\u00dfe": "stra\u00dfe", strings.Repeat("X", 150): strings.Repeat("x", 150),
			// refused
			"": "", "   ": "", "a b": "", "alice.": "", ".alice": "", "\ufb01sh": "", "ali\u00adce": "", "ali\u200bce": "", "\u202ealice": "", "alice\u200f": "", "a\x00b": "", "a\x7f": "", "\xff": "",
			"a/b": "", "a:b": "", "a<b": "", "a'b": "", "a\nb": "", strings.Repeat("x", 151): "", strings.Repeat("\u00e9", 128): "", "\U0001f600": "", "\u2160": "",
		} {
			got, err := username.Canonical(name)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%q: %q, %v; want %q", name, got, err, want)
			}
		}
		if a, _ := username.Canonical("\u0430lice"); a == "alice" {
			t.Error("letters of two scripts are one")
		}
	})
	t.Run("attack_196_mail", func(t *testing.T) {
		for address, want := range map[string]string{
			"a@example.com": "a@example.com", "A.b+c@EXAMPLE.com": "A.b+c@example.com",
			"a@b@c": "", "a@b@c.com": "", `"a@x"@b.com`: "", "a(comment)@b.com": "", "a@b": "", "@b.com": "", "a@": "", "a@.com": "", "a@b..com": "", "a..b@c.com": "", ".a@b.com": "", "a@-b.com": "",
			"a@[127.0.0.1]": "", "a@127.0.0.1": "", "a b@c.com": "", "a@b.com\n": "", "a@b.com, c@d.com": "", "<a@b.com>": "", strings.Repeat("x", 65) + "@b.com": "", "ü@b.com": "", "a@bü.com": "", "": "",
		} {
			got, err := username.Email(address)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%q: %q, %v; want %q", address, got, err, want)
			}
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"alice", "\uff21lice", "\u0130", "\u1e9e", "ǅ", "юлия", "ΟΔΟΣ", "ς", "\u05d0a", "a\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		form, err := username.Canonical(name)
		if err != nil {
			return
		}
		again, err := username.Canonical(form)
		if err != nil || again != form {
			t.Errorf("%q: %q, then %q, %v", name, form, again, err)
		}
	})
}
