//go:build interop

package interop

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/vestibule-auth/vestibule/internal/interop/visitor"
)

// apache is the configuration of a server of its own, with mod_auth_openidc.
var apache = template.Must(template.New("").Parse(`ServerRoot "{{.Dir}}"
DefaultRuntimeDir "{{.Dir}}"
PidFile "{{.Dir}}/pid"
ErrorLog "/dev/stderr"
ServerName 127.0.0.1
Listen {{.Listen}}
{{if .Root}}User www-data
Group www-data
{{end}}{{range .Modules}}LoadModule {{.}}_module {{$.ModuleDir}}/mod_{{.}}.so
{{end}}OIDCProviderMetadataURL {{.Issuer}}/.well-known/openid-configuration
OIDCClientID gateway
OIDCClientSecret {{.Secret}}
OIDCRedirectURI {{.Address}}/callback
OIDCCryptoPassphrase {{.Secret}}
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCRemoteUserClaim preferred_username
OIDCDefaultLoggedOutURL {{.Address}}/bye
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
<Location /bye>
  AuthType none
  Require all granted
</Location>
ProxyPass /callback !
ProxyPass / {{.Upstream}}/
`))

// Apache's mod_auth_openidc, as Debian packages it, logs in for an application, renews, and logs out.
func TestModAuthOpenIDC(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("apache2")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/apache2")
	}
	if err != nil {
		t.Fatal("apache2 is needed: apt-get install apache2-bin libapache2-mod-auth-openidc")
	}
	g := newGateway(t, "/callback", "OIDC_access_token")
	dir, err := os.MkdirTemp("", "apache-") // not t.TempDir: another user must get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	err = apache.Execute(&text, map[string]any{
		"Dir": dir, "Listen": strings.TrimPrefix(g.address, "http://"), "Root": os.Getuid() == 0, "ModuleDir": "/usr/lib/apache2/modules",
		"Modules": []string{"mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "auth_openidc"},
		"Issuer":  g.issuer, "Address": g.address, "Secret": g.secret, "Upstream": g.upstream,
	})
	file := filepath.Join(dir, "apache.conf")
	if err == nil {
		err = os.WriteFile(file, []byte(text.String()), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.run(t, exec.Command(program, "-D", "FOREGROUND", "-f", file))

	alice := visitor.Alice()
	g.says(t, alice, "/", "the API says 200 alice")
	first := g.given()[0]
	denied, err := (&visitor.Visitor{Name: "alice", Password: "wonderland-42", Deny: true}).Open(g.address + "/")
	// Its page names another error: it takes the iss of an error (RFC 9207) for a login by a third party.
	if err != nil || denied.URL.Path != "/callback" || denied.URL.Query().Get("error") != "access_denied" || !strings.Contains(denied.Text, "<title>Error") {
		t.Errorf("denied: %d %q, %v", denied.Status, denied.Text, err)
	}

	// The module renews when the application asks for it.
	query := url.Values{"refresh": {g.address + "/renewed"}, "access_token": {first}}
	g.says(t, alice, "/callback?"+query.Encode(), "the API says 200 alice")
	given := g.given()
	second := given[len(given)-1]
	if second == first {
		t.Error("nothing was renewed")
	}

	// The logout ends the login here and at the authorization server, and revokes the tokens.
	p, err := alice.Open(g.address + "/callback?" + url.Values{"logout": {g.address + "/bye"}}.Encode())
	if err != nil || p.URL.Path != "/bye" {
		t.Fatalf("logged out: at %s: %d %q, %v", p.URL, p.Status, p.Text, err)
	}
	if status, _ := profile(t.Context(), g.issuer, second); status != http.StatusUnauthorized {
		t.Errorf("the token after the logout: %d", status)
	}
	p, err = alice.Send(http.MethodGet, g.address+"/", nil)
	if err != nil || p.URL.Path != "/login" {
		t.Errorf("after the logout: at %s: %d, %v", p.URL, p.Status, err)
	}
}
