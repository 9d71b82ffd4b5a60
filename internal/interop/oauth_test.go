//go:build interop

package interop

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// is fails for each step that was not as wanted.
func is(t *testing.T, seen map[string]json.RawMessage, want map[string]string) {
	t.Helper()
	for step, want := range want {
		t.Run(step, func(t *testing.T) {
			if got := string(seen[step]); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// An OAuth client that nobody here wrote gets tokens in each way, uses and gives them back.
func TestOAuthClient(t *testing.T) {
	is(t, walk(t, "oauth.mjs", compare(t)), map[string]string{
		"issuer":             `true`,
		"code":               `["bearer","profile notes:read",3600]`,
		"profile":            `[200,"{\"username\":\"alice\",\"email\":\"alice@example.com\",\"scheme\":\"oauth2\",\"client\":\"demo-public\"}\n"]`,
		"refresh":            `[true,true]`,
		"revoked":            `[401,"{\"detail\":\"Invalid token.\"}"]`,
		"revoked_refresh":    `"invalid_grant"`,
		"pushed":             `"profile notes:read"`,
		"introspection":      `[true,"demo-confidential","alice","profile notes:read"]`,
		"client_credentials": `[true,[200,"{\"username\":\"\",\"email\":\"\",\"scheme\":\"oauth2\",\"client\":\"demo-confidential\"}\n"]]`,
		"wrong_secret":       `"invalid_client"`, // Node sends Sec-Fetch-Mode, and so gets no Basic challenge
		"denied":             `"access_denied"`,
	})
}

// A real browser is sent to the login, asked, and sent back to the application, which uses
// the token and gives it back.
func TestConsentInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	seen := walk(t, "consent.mjs", chromium, compare(t))
	if got := string(seen["consent_page"]); !strings.Contains(got, "Allow Public demo?") || !strings.Contains(got, "See your name") || !strings.Contains(got, "alice") {
		t.Errorf("the consent page says %s", got)
	}
	is(t, seen, map[string]string{
		"login_page": `"/login"`, "application_page": `"back in the application"`, "callback": `["a state",true]`,
		"api": `[200,"alice"]`, "revoke": `200`, "revoked": `[401,null]`,
	})
}
