package password_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestHashAndVerify(t *testing.T) {
	h, err := password.NewHasher(nil)
	must(t, err)
	for _, pw := range []string{"wonderland-42", "", " lead and trail ", "e\u0301", strings.Repeat("x", 1024), "пароль", "a\x00b"} {
		encoded, err := h.Hash(t.Context(), "", pw)
		must(t, err)
		if !strings.HasPrefix(string(encoded), "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("%s", string(encoded))
		}
		if ok, outdated := verify(t, h, string(encoded), pw); !ok || outdated {
			t.Errorf("%q: %t, outdated %t", pw, ok, outdated)
		}
		if ok, outdated := verify(t, cheap(), string(encoded), pw); !ok || !outdated {
			t.Errorf("%q: other parameters are outdated: %t, %t", pw, ok, outdated)
		}
		for _, other := range []string{pw + "x", pw + " ", "\u00e9", pw + "\x00"} {
			if ok, _ := verify(t, cheap(), string(encoded), other); ok {
				t.Errorf("%q is taken for %q", other, pw)
			}
		}
	}
	again, err := h.Hash(t.Context(), "", "x")
	must(t, err)
	if second, _ := h.Hash(t.Context(), "", "x"); second == again {
		t.Error("two hashes of one password are equal")
	}
}

func TestHasherOptions(t *testing.T) {
	for name, o := range map[string]password.HasherOptions{
		"weak":       {Params: password.Params{Memory: 1024, Time: 2, Threads: 1}},
		"one pass":   {Params: password.Params{Memory: 19456, Time: 1, Threads: 1}},
		"no threads": {Params: password.Params{Memory: 19456, Time: 2}},
		"huge":       {Params: password.Params{Memory: 1 << 20, Time: 1, Threads: 1}},
		"costly":     {Params: password.Params{Memory: 256 << 10, Time: 3, Threads: 1}},
		"passes":     {Params: password.Params{Memory: 7168, Time: 33, Threads: 1}},
		"threads":    {Params: password.Params{Memory: 19456, Time: 2, Threads: 65}},
		"slots":      {Slots: -1}, "wait": {MaxWait: -1}, "waiting": {MaxWaiting: -1},
	} {
		if _, err := password.NewHasher(&o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestAttacksOnHashes(t *testing.T) {
	long, err := bcrypt.GenerateFromPassword([]byte(strings.Repeat("x", 72)), 4)
	must(t, err)
	short, err := bcrypt.GenerateFromPassword([]byte("p"), 4)
	must(t, err)
	t.Run("attack_193_no_truncation", func(t *testing.T) {
		for _, x := range []struct {
			encoded, pw string
			want        bool
		}{
			{string(long), strings.Repeat("x", 72), true}, {string(long), strings.Repeat("x", 73), false}, {string(long), strings.Repeat("x", 71), false},
			{string(short), "p", true}, {string(short), "p\x00x", false}, {string(short), "p\x00p", false}, {string(short), "p\x00", false},
			{"bcrypt$" + string(long), strings.Repeat("x", 73), false},
		} {
			if ok, _ := verify(t, cheap(), x.encoded, x.pw); ok != x.want {
				t.Errorf("%q of %d bytes: %t", x.pw, len(x.pw), ok)
			}
		}
	})
	t.Run("attack_204_hostile_hashes", func(t *testing.T) {
		good := string(long)
		hostile := []string{
			"", "!", "!abc", "unknown$1$a$b", "plain", "$", "$$", "$$$$$", "$argon2id", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)),
			"$argon2id$v=19$m=19456,t=4294967295,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)), "$argon2id$v=19$m=0,t=0,p=0$c2FsdA$" + b64(make([]byte, 32)),
			"$argon2id$v=16$m=19456,t=2,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)), "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$", "$argon2id$v=19$m=8,t=1,p=64$c2FsdHNhbHQ$" + b64(make([]byte, 32)),
			"pbkdf2_sha256$2147483648$salt$" + base64Std(make([]byte, 32)), "pbkdf2_sha256$99999999999999999999$salt$" + base64Std(make([]byte, 32)), "pbkdf2_sha256$1e9$salt$x", "pbkdf2_sha256$0$salt$" + base64Std(make([]byte, 32)),
			"pbkdf2_sha256$1$" + strings.Repeat("s", 2000) + "$" + base64Std(make([]byte, 32)), "pbkdf2_sha256$1$salt$" + base64Std(make([]byte, 500)), "pbkdf2_sha256$1$salt$",
			"scrypt$1073741824$salt$8$1$" + base64Std(make([]byte, 64)), "scrypt$16384$salt$1073741824$1$" + base64Std(make([]byte, 64)), "scrypt$3$salt$8$1$" + base64Std(make([]byte, 64)), "scrypt$16384$salt$8$1073741824$" + base64Std(make([]byte, 64)),
			"$scrypt$ln=63,r=8,p=1$c2FsdA$" + b64(make([]byte, 32)), "$2b$31$" + good[7:], "$2b$99$" + good[7:], "$2x$04$" + good[7:], good[:59], good + "x", "bcrypt$" + good[:30], "$pbkdf2-sha256$i=1,i=2$c2FsdA$" + b64(make([]byte, 32)),
			strings.Repeat("$", 10_000), "pbkdf2_sha256$1\n$salt$" + base64Std(make([]byte, 32)),
		}
		begin := time.Now()
		for _, encoded := range hostile {
			for _, pw := range []string{"", "x", "!", encoded} {
				if ok, outdated := verify(t, cheap(), encoded, pw); ok || outdated {
					t.Errorf("%.60q takes %.20q", encoded, pw)
				}
			}
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// The most expensive hashes that Verify computes, and ones just above the limits.
func TestCostLimits(t *testing.T) {
	key := func(n int) string { return b64(make([]byte, n)) }
	django := base64.StdEncoding.EncodeToString(make([]byte, 32))
	bcrypt := "wXRWePtp2SGzZwEmL2jXT4.frHnMdFfosAAAAAAAAAAAAAAAAAAAA"
	for _, x := range []struct {
		limit, beyond string
	}{
		{"$argon2id$v=19$m=262144,t=2,p=1$c29tZXNhbHQ$" + key(32), "$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$" + key(32)},
		{"$argon2id$v=19$m=16384,t=32,p=1$c29tZXNhbHQ$" + key(32), "$argon2id$v=19$m=16384,t=33,p=1$c29tZXNhbHQ$" + key(32)},
		{"$argon2i$v=19$m=174762,t=3,p=4$c29tZXNhbHQ$" + key(32), "$argon2i$v=19$m=174763,t=3,p=4$c29tZXNhbHQ$" + key(32)},
		{"$argon2id$v=19$m=512,t=1,p=64$c29tZXNhbHQ$" + key(32), "$argon2id$v=19$m=520,t=1,p=65$c29tZXNhbHQ$" + key(32)},
		{"pbkdf2_sha256$4000000$salt$" + django, "pbkdf2_sha256$4000001$salt$" + django},
		{"$pbkdf2-sha256$i=2000000$c2FsdA$" + key(64), "$pbkdf2-sha256$i=2000001$c2FsdA$" + key(64)},
		{"$pbkdf2-sha256$i=1000000$c2FsdA$" + key(128), "$pbkdf2-sha256$i=1$c2FsdA$" + key(129)},
		{"$pbkdf2-sha1$i=2000000$c2FsdA$" + key(21), "$pbkdf2-sha1$i=2000001$c2FsdA$" + key(21)},
		{"$pbkdf2$i=1$c2FsdA$" + key(10), "$pbkdf2$i=1$c2FsdA$" + key(9)},
		{"$pbkdf2$i=1$" + key(256) + "$" + key(20), "$pbkdf2$i=1$" + key(257) + "$" + key(20)},
		{"$scrypt$ln=18,r=8,p=1$c2FsdA$" + key(32), "$scrypt$ln=19,r=8,p=1$c2FsdA$" + key(32)},
		{"$scrypt$ln=14,r=8,p=16$c2FsdA$" + key(32), "$scrypt$ln=14,r=8,p=17$c2FsdA$" + key(32)},
		{"$scrypt$ln=1,r=1,p=64$c2FsdA$" + key(32), "$scrypt$ln=1,r=1,p=65$c2FsdA$" + key(32)},
		{"$2b$14$" + bcrypt, "$2b$15$" + bcrypt},
		// encodings that Django does not write
		{"pbkdf2_sha256$1$s$" + django, "pbkdf2_sha256$1$$" + django},
		{"pbkdf2_sha256$1$s$" + django, "pbkdf2_sha1$1$s$" + django},
		{"pbkdf2_sha256$1$s$" + django, "pbkdf2_sha256$1$s$" + strings.Replace(django, "A=", "B=", 1)},
		{"argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + key(32), "argon2$2b$14$" + bcrypt},
	} {
		if !password.Usable(storage.PasswordHash(x.limit)) {
			t.Errorf("%s is refused", x.limit)
		}
		if password.Usable(storage.PasswordHash(x.beyond)) {
			t.Errorf("%s is computed", x.beyond)
		}
	}
}

func FuzzVerify(f *testing.F) {
	h, err := password.NewHasher(&password.HasherOptions{Params: password.Params{Memory: 7168, Time: 5, Threads: 1}})
	must(f, err)
	for _, s := range []string{"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "pbkdf2_sha256$1$salt$AAAAAAAAAAAAAAAAAAAAAA==", "scrypt$2$salt$1$1$AAAAAAAAAAAAAAAAAAAAAA==", "$scrypt$ln=1,r=1,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA", "bcrypt$$2b$04$", "$2b$04$abcdefghijklmnopqrstuuyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "!", ""} {
		f.Add(s, "pw")
	}
	f.Fuzz(func(t *testing.T, encoded, pw string) {
		ok, outdated, err := h.Verify(t.Context(), "", storage.PasswordHash(encoded), pw)
		if err != nil || outdated && !ok {
			t.Errorf("%q: %t, %t, %v", encoded, ok, outdated, err)
		}
	})
}
