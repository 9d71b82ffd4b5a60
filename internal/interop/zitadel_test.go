//go:build interop

package interop

import (
	"os/exec"
	"testing"
)

// The relying party of zitadel logs in, renews and gives back; its resource server introspects.
func TestZitadel(t *testing.T) {
	t.Parallel()
	binary, err := buildZitadel()
	if err != nil {
		t.Fatal(err)
	}
	is(t, sees(t, exec.Command(binary, compare(t))), map[string]string{
		"denied":                `[500,"access_denied",true]`, // the library's own page
		"state":                 `"a state"`,
		"id_token":              `[true,["demo-public"],"alice","alice@example.com"]`,
		"userinfo":              `[true,"alice","alice@example.com"]`,
		"profile":               `[200,"alice"]`,
		"callback_again":        `401`,
		"refresh":               `[true,true]`,
		"renewed_profile":       `[200,"alice"]`,
		"introspection":         `[true,"demo-public","alice",true]`,
		"wrong_secret":          `true`,
		"revoked":               `[401,""]`,
		"revoked_introspection": `false`,
		"revoked_refresh":       `"invalid_grant"`,
	})
}
