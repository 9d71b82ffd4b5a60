package schemetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// Token is a scheme whose credential is a text of package credential: a prefix, random bytes and a
// checksum.
type Token struct {
	// Scheme accepts Good after Keyword.
	Scheme        authn.Authenticator
	Keyword, Good string
	// Lookups returns how often the store was called so far.
	Lookups func() int64
}

// Run proves that no changed or guessed token is accepted, and that those whose checksum is wrong
// cost no call of the store.
func (x Token) Run(t *testing.T) {
	t.Helper()
	good := x.Good
	prefix := good[:strings.IndexByte(good, '_')+1]
	lookups := func(text string) int64 {
		before := x.Lookups()
		x.refused(t, text)
		return x.Lookups() - before
	}
	t.Run("attack_034_changed_tokens", func(t *testing.T) {
		n := len(good)
		bad := []string{good[:n-1], good + good, strings.ToUpper(good), good + "A", good[1:], good + "=", prefix, strings.Replace(good, "_", "-", 1), good[:4] + good[5:] + good[4:5]}
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
			if !x.refused(t, text) {
				t.Errorf("%s was taken", text)
			}
		}
		if n := lookups(good); n != 1 {
			t.Errorf("%d look-ups for a good token", n)
		}
	})
	t.Run("attack_035_guesses", func(t *testing.T) {
		guess := []byte(good)
		accepted := 0
		r, chain := With(""), authn.Chain{x.Scheme}
		for i := range 100_000 {
			guess[10+i%30] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i*7%32]
			text := string(guess)
			r.Header["Authorization"] = []string{x.Keyword + " " + text}
			_, err := chain.Authenticate(r)
			if e := (*authn.Error)(nil); text != good && (!errors.As(err, &e) || e.Status != 401 || e.Detail != "Invalid token.") {
				accepted++
			}
		}
		if accepted > 0 {
			t.Errorf("%d guesses were taken", accepted)
		}
	})
	t.Run("attack_036_wildcards", func(t *testing.T) {
		for _, text := range []string{"%", "_", prefix + "%", prefix + strings.Repeat("_", 49), "'OR/**/1=1--", prefix + strings.Repeat("%", 49), "*", "\\"} {
			if n := lookups(text); n != 0 || !x.refused(t, text) {
				t.Errorf("%q: %d look-ups", text, n)
			}
		}
	})
}

func (x Token) refused(t *testing.T, text string) bool {
	t.Helper()
	return Refused(t, x.Scheme, x.Keyword+" "+text)
}

// Untold fails the test if log, which is all that a scheme wrote, has the token or its digest.
func Untold(t *testing.T, log, token string, d storage.Digest) {
	t.Helper()
	if len(log) < 500 {
		t.Fatal("nothing was logged")
	}
	for what, secret := range map[string]string{"token": token[12:40], "digest": fmt.Sprintf("%x", d[:8]), "digest, decimal": strings.Trim(fmt.Sprint(d[:4]), "[]")} {
		if strings.Contains(log, secret) {
			t.Errorf("a %s is told: %s", what, log)
		}
	}
}
