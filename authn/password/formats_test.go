package password_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cheap is a hasher that many tests share: two slots, and patience.
var cheap = sync.OnceValue(func() *password.Hasher {
	h, err := password.NewHasher(&password.HasherOptions{
		Params: password.Params{Memory: 7168, Time: 5, Threads: 1}, Slots: 2, MaxWait: time.Minute, MaxWaiting: 4000,
	})
	if err != nil {
		panic(err)
	}
	return h
})

func verify(t testing.TB, h *password.Hasher, encoded, pw string) (ok, outdated bool) {
	t.Helper()
	ok, outdated, err := h.Verify(t.Context(), "", storage.PasswordHash(encoded), pw)
	must(t, err)
	return ok, outdated
}

// Every hash of a kind that is supported gives what Django gave.
func TestDjangoVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/django_passwords.json")
	must(t, err)
	var rows []struct {
		Kind, Encoded, Note string
		Password            *string
		Verify              any
	}
	must(t, json.Unmarshal(text, &rows))
	ran, differ, unsupported := 0, 0, 0
	for _, r := range rows {
		want, _ := r.Verify.(bool) // where Django raised, nothing matches
		switch {
		case r.Password == nil:
			continue
		case r.Kind == "md5" || r.Kind == "sha1" || strings.HasPrefix(r.Kind, "unsalted"):
			want = false // not supported: these are no password hashes
			unsupported++
		case strings.Contains(r.Encoded, "argon2d$"):
			want = false // x/crypto has no argon2d
			unsupported++
		case strings.HasPrefix(r.Encoded, "bcrypt$") && len(*r.Password) > 72 && want:
			want = false // Django cuts the password off
			differ++
		case raceEnabled && strings.HasSuffix(r.Kind, "_default"):
			continue
		}
		ran++
		if got, _ := verify(t, cheap(), r.Encoded, *r.Password); got != want {
			t.Errorf("%s (%s): %.60s: got %t, Django says %v", r.Kind, r.Note, r.Encoded, got, r.Verify)
		}
	}
	t.Logf("%d rows of %d; %d of kinds that are not supported, %d that bcrypt cuts off", ran, len(rows), unsupported, differ)
	if ran < 250 || differ == 0 {
		t.Errorf("%d rows ran, %d differ", ran, differ)
	}
}

// The PHC forms, each made with another program or taken from its specification.
func TestPHC(t *testing.T) {
	for _, encoded := range []string{
		// the reference implementation's tests (phc-winner-argon2)
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		// passlib's documentation
		"$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
		// Python's hashlib
		"$pbkdf2-sha1$i=1000,l=20$MDEyMzQ1Njc4OWFiY2RlZg$DYW+LTZG5wxyiF/qvsh40/+/hXk",
		"$pbkdf2$1000$MDEyMzQ1Njc4OWFiY2RlZg$DYW.LTZG5wxyiF/qvsh40/./hXk",
		"$scrypt$ln=10,r=8,p=2$MDEyMzQ1Njc4OWFiY2RlZg$bEaCAiyRYDARuNXGlQE7Plyz+/JVlfoIQ0KBQ3KtPwI",
	} {
		const pw = "password"
		if ok, outdated := verify(t, cheap(), encoded, pw); !ok || !outdated {
			t.Errorf("%s: %t, outdated %t", encoded, ok, outdated)
		}
		if ok, _ := verify(t, cheap(), encoded, pw+"x"); ok {
			t.Errorf("%s takes any password", encoded)
		}
	}
}

// PBKDF2 and scrypt against vectors of others, through encoded hashes of ours.
func TestWycheproofPBKDF2(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	text, err := os.ReadFile(filepath.Join(dir, "security", "wycheproof", "pbkdf2_hmacsha256_test.json"))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("Wycheproof's PBKDF2 vectors did not run: set VESTIBULE_VECTORS to the folder that holds security/wycheproof")
	}
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID                  int
				Password, Salt, DK    string
				IterationCount, DKLen int
				Result                string
			}
		}
	}
	must(t, json.Unmarshal(text, &file))
	ran := 0
	for _, g := range file.TestGroups {
		for _, x := range g.Tests {
			pw, err1 := hex.DecodeString(x.Password)
			salt, err2 := hex.DecodeString(x.Salt)
			key, err3 := hex.DecodeString(x.DK)
			if err1 != nil || err2 != nil || err3 != nil {
				t.Fatal(x.TcID)
			}
			if len(key) < 10 || len(key) > 128 || len(salt) > 256 {
				continue // not a hash that is kept
			}
			ran++
			encoded := fmt.Sprintf("$pbkdf2-sha256$i=%d$%s$%s", x.IterationCount, b64(salt), b64(key))
			if ok, _ := verify(t, cheap(), encoded, string(pw)); ok != (x.Result == "valid") {
				t.Errorf("case %d: %t, want %s", x.TcID, ok, x.Result)
			}
		}
	}
	if ran < 10 {
		t.Errorf("%d cases ran", ran)
	}
}

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
		"huge":       {Params: password.Params{Memory: 1 << 20, Time: 2, Threads: 1}},
		"slots":      {Slots: -1}, "wait": {MaxWait: -1}, "waiting": {MaxWaiting: -1},
	} {
		if _, err := password.NewHasher(&o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func b64(b []byte) string { return strings.TrimRight(base64Std(b), "=") }

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
