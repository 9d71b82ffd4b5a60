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

	"github.com/vestibule-auth/vestibule/storage"
)

// Every supported hash of Django's gives Django's result.
func TestDjangoVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	t.Parallel()
	text, err := os.ReadFile("testdata/django_passwords.json")
	must(t, err)
	var rows []struct {
		Kind, Encoded, Note string
		Password            *string
		Verify              any
	}
	must(t, json.Unmarshal(text, &rows))
	ran, differ, unsupported := 0, 0, 0
	atOnce := make(chan struct{}, 2)
	var wg sync.WaitGroup
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
		}
		ran++
		atOnce <- struct{}{}
		wg.Go(func() {
			defer func() { <-atOnce }()
			ok, _, err := cheap().Verify(t.Context(), "", storage.PasswordHash(r.Encoded), *r.Password)
			if err != nil || ok != want {
				t.Errorf("%s (%s): %.60s: got %t, %v; Django says %v", r.Kind, r.Note, r.Encoded, ok, err, r.Verify)
			}
		})
	}
	wg.Wait()
	t.Logf("%d rows of %d ran; %d of kinds that are not supported and must not match, %d that bcrypt cuts off", ran, len(rows), unsupported, differ)
	if ran < 250 || differ == 0 {
		t.Errorf("%d rows ran, %d differ", ran, differ)
	}
}

// The PHC formats, each created by another program or taken from its specification.
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

// PBKDF2 and scrypt give the results of public vectors, through encoded hashes.
func TestWycheproofPBKDF2(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
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
