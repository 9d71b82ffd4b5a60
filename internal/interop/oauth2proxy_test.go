//go:build interop

package interop

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/interop/visitor"
)

// oauth2-proxy logs in for an application, renews, and logs out.
func TestOAuth2Proxy(t *testing.T) {
	t.Parallel()
	binary, err := build("oauth2-proxy", "proxy", "github.com/oauth2-proxy/oauth2-proxy/v7")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, "/oauth2/callback", "X-Forwarded-Access-Token")
	cmd := exec.Command(binary, "--provider=oidc", "--oidc-issuer-url="+g.issuer, "--client-id=gateway", "--redirect-url="+g.address+"/oauth2/callback",
		"--http-address="+strings.TrimPrefix(g.address, "http://"), "--upstream="+g.upstream, "--scope=openid profile email", "--code-challenge-method=S256",
		"--oidc-email-claim=preferred_username", "--email-domain=*", // the e-mail address is not verified
		"--pass-access-token", "--skip-provider-button", "--cookie-secure=false", "--cookie-refresh=1s",
		"--backend-logout-url="+g.issuer+"/oauth2/logout?id_token_hint={id_token}")
	cmd.Env = []string{"OAUTH2_PROXY_CLIENT_SECRET=" + g.secret, "OAUTH2_PROXY_COOKIE_SECRET=" + g.secret[len(g.secret)-32:]}
	g.run(t, cmd)

	alice := visitor.Alice()
	g.says(t, alice, "/", "the API says 200 alice")
	denied, err := (&visitor.Visitor{Name: "alice", Password: "wonderland-42", Deny: true}).Open(g.address + "/")
	if err != nil || denied.Status != http.StatusForbidden || strings.Contains(denied.Text, "the API says") {
		t.Errorf("denied: %d %q, %v", denied.Status, denied.Text, err)
	}

	// The proxy renews when the session is a second old. Its clock is its own, so the page is asked for
	// until the application gets another token.
	for deadline := time.Now().Add(time.Minute); len(g.given()) < 2; time.Sleep(50 * time.Millisecond) { //house: the proxy is another program with a clock of its own
		g.says(t, alice, "/", "the API says 200 alice")
		if time.Now().After(deadline) {
			t.Fatal("nothing was renewed")
		}
	}

	// The user ends it at the authorization server: the API refuses the token that the proxy has.
	if p, err := alice.Send(http.MethodPost, g.issuer+"/logout-everywhere", nil); err != nil || p.Status != http.StatusNoContent {
		t.Fatalf("log out everywhere: %d, %v", p.Status, err)
	}
	given := g.given()
	if status, _ := profile(t.Context(), g.issuer, given[len(given)-1]); status != http.StatusUnauthorized {
		t.Errorf("the token after the logout: %d", status)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { //house: the proxy is another program with a clock of its own
		p, err := alice.Send(http.MethodGet, g.address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.URL.Path == "/login" { // the proxy could not renew, and sent the user there
			break
		}
		if strings.Contains(p.Text, "says 200") || time.Now().After(deadline) {
			t.Fatalf("after the logout: %s %d %q", p.URL, p.Status, p.Text)
		}
	}
}
