package consent_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Parameters that cannot be read are not left out: a request without its state, its prompt or
// its logout address is another one.
func TestMalformedParameters(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, nil)
	for name, bad := range map[string]string{
		"attack_139_state": "state=a;b", "attack_139_escape": "state=%zz", "attack_144_prompt": "prompt=none;", "attack_144_max_age": "max_age=%",
		"attack_140_scope": "scope=read;write", "attack_133_again": "redirect_uri=https://evil.example;", "attack_141_challenge": "code_challenge=x;",
	} {
		t.Run(name, func(t *testing.T) {
			for _, who := range []string{"", "s1"} {
				id := p.Alice(who)
				if who == "" {
					id = nil
				}
				if rec := p.Authorizes(id, "GET", oauthtest.Query("app", "state", "")+"&"+bad, ""); rec.Code != 400 || rec.Header().Get("Location") != "" {
					t.Errorf("%d to %q", rec.Code, rec.Header().Get("Location"))
				}
			}
		})
	}
	t.Run("attack_187_uri", func(t *testing.T) {
		if rec := p.LogsOut("s1", "client_id=app&post_logout_redirect_uri=https://app.example/bye;", ""); rec.Code != 400 {
			t.Errorf("%d", rec.Code)
		}
	})
}
