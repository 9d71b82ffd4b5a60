package deptest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// variableTime finds comparisons of secrets that end at the first byte that differs.
var variableTime = regexp.MustCompile(`(?i)bytes\.Equal\([^)]*(secret|mac|signature|digest)|(strings\.Compare|==|!=) *\(?\w*(secret|mac|signature|verifier)\b|\b\w*(secret|mac|signature|verifier)\b *(==|!=) *[a-z_]`)

// absent finds comparisons with nothing, or with a kind, which tell nothing.
var absent = regexp.MustCompile(`(==|!=) *(nil|""|0|len|MAC{}|kindSecret)`)

// constantTime are the places that compare what a client sent with a secret. Look-ups by digest
// need none: who does not know the secret cannot choose its digest.
var constantTime = []string{
	"authn/throttle/device.go", "authn/csrf/token.go", "authn/password/kdf.go", "jose/method.go", "django/knox.go",
	"schemes/oauth2/server/clientauth.go", "schemes/oauth2/server/pkce.go", "schemes/oauth2/registration/registration.go", "schemes/oauth2/dpop/nonce.go", "schemes/oauth2/dpop/proof.go",
}

func TestSecretsAreComparedInConstantTime(t *testing.T) {
	t.Run("attack_247_source", func(t *testing.T) {
		seen := 0
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			short := strings.TrimPrefix(path, root+"/")
			if filepath.Ext(path) != ".go" || !inLibrary(short) {
				return nil
			}
			seen++
			text, err := os.ReadFile(path)
			for i, line := range strings.Split(string(text), "\n") {
				if variableTime.MatchString(line) && !absent.MatchString(line) && !strings.HasPrefix(strings.TrimSpace(line), "//") {
					t.Errorf("%s:%d compares a secret in variable time (use crypto/subtle or hmac.Equal): %s", short, i+1, strings.TrimSpace(line))
				}
			}
			return err
		})
		if err != nil || seen < 100 {
			t.Errorf("%d files, %v", seen, err)
		}
		for _, file := range constantTime {
			text, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Error(err)
			} else if !strings.Contains(string(text), "subtle.ConstantTimeCompare(") && !strings.Contains(string(text), "hmac.Equal(") {
				t.Errorf("%s compares nothing in constant time", file)
			}
		}
	})
	for _, bad := range []string{"if sent == secret {", "if bytes.Equal(mac, sum) {", "ok := got != wantSignature", "return codeVerifier == challenge"} {
		if !variableTime.MatchString(bad) || absent.MatchString(bad) {
			t.Errorf("%q is not found", bad)
		}
	}
}
