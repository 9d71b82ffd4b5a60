//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/introspect"
)

// provider is npm's oidc-provider, running, with tokens that it gave.
type provider struct {
	Issuer string
	Tokens map[string]string
	stop   func()
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	path, err := filepath.Abs("provider.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", path)
	cmd.Dir = os.Getenv("VESTIBULE_INTEROP")
	var problems strings.Builder
	cmd.Stderr = &problems
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &provider{}
	stopped := false
	p.stop = func() {
		if !stopped {
			stopped = true
			input.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(p.stop)
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, p)
	}
	if err != nil {
		p.stop()
		t.Fatalf("%v\n%s", err, &problems)
	}
	return p
}

// discovered is what its metadata say.
func (p *provider) discovered(t *testing.T) (jwks, introspection string) {
	t.Helper()
	res, err := http.Get(p.Issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var m struct {
		Issuer        string
		Keys          string `json:"jwks_uri"`
		Introspection string `json:"introspection_endpoint"`
	}
	if body, err := io.ReadAll(res.Body); err != nil || json.Unmarshal(body, &m) != nil || m.Issuer != p.Issuer {
		t.Fatalf("%+v, %v", m, err)
	}
	return m.Keys, m.Introspection
}

// The tokens of an issuer that nobody here wrote: signed ones by its published keys, opaque
// ones by introspection.
func TestForeignIssuer(t *testing.T) {
	p := startProvider(t)
	jwks, introspection := p.discovered(t)
	by := introspect.ClientCredentials{ID: "api", Secret: "a secret: 100%"}
	late := func() time.Time { return time.Now().Add(2 * time.Hour) }
	chain := func(keepFor time.Duration, clock func() time.Time) authn.Chain {
		keys, err := jose.NewRemoteKeySet(jwks, &jose.RemoteOptions{Insecure: true, Algorithms: []jose.Algorithm{jose.ES256}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := jwt.NewVerifier(p.Issuer, "https://jwt.api.example", keys, &jwt.VerifierOptions{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		i, err := introspect.New(p.Issuer, introspection, "https://api.example", by, &introspect.Options{CacheTTL: keepFor, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		c := authn.Chain{v, i}
		if err := authn.Check(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask := func(c authn.Chain, token string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		id, err := c.Authenticate(r)
		var refused *authn.Error
		switch {
		case err == nil && id.Issuer == p.Issuer && id.Roles == nil && !id.Expires.IsZero():
			return fmt.Sprintf("200 %s %q %q %q", id.Scheme, id.Subject, id.Client, id.Scopes)
		case err == nil:
			return fmt.Sprintf("%+v", id)
		case errors.As(err, &refused):
			return fmt.Sprint(refused.Status)
		}
		return "503"
	}
	fresh := chain(-1, nil)
	for token, want := range map[string]string{
		"client": `200 oauth2 "" "robot" ["read"]`, "client_jwt": `200 jwt "" "robot" ["read"]`,
		"user": `200 oauth2 "bob" "phone" ["read" "write"]`, "user_jwt": `200 jwt "bob" "phone" ["read" "write"]`,
		"other": "401", "other_jwt": "401", "nowhere": "401", "refresh": "401", "id_token": "401", "revoked": "401",
	} {
		t.Run(token, func(t *testing.T) {
			if p.Tokens[token] == "" {
				t.Fatal("there is none")
			}
			if got := ask(fresh, p.Tokens[token]); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		if got := ask(fresh, p.Tokens["user"][1:]+"A"); got != "401" {
			t.Error(got)
		}
	})
	t.Run("expired", func(t *testing.T) {
		for _, token := range []string{"user", "user_jwt"} {
			if got := ask(chain(-1, late), p.Tokens[token]); got != "401" {
				t.Errorf("%s: %s", token, got)
			}
		}
	})
	t.Run("another_secret", func(t *testing.T) {
		i, err := introspect.New(p.Issuer, introspection, "https://api.example", introspect.ClientCredentials{ID: "api", Secret: "x"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(authn.Chain{i}, p.Tokens["user"]); got != "503" {
			t.Error(got)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		kept, cold := chain(time.Minute, nil), chain(time.Minute, nil)
		for _, token := range []string{"user", "user_jwt"} {
			if got := ask(kept, p.Tokens[token]); !strings.HasPrefix(got, "200") {
				t.Errorf("%s: %s", token, got)
			}
		}
		p.stop()
		for _, token := range []string{"user", "user_jwt"} {
			if got := ask(cold, p.Tokens[token]); got != "503" {
				t.Errorf("%s: %s", token, got)
			}
			if got := ask(kept, p.Tokens[token]); !strings.HasPrefix(got, "200") {
				t.Errorf("%s, known from before: %s", token, got)
			}
		}
		if got := ask(kept, p.Tokens["client"]); got != "503" {
			t.Errorf("not known: %s", got)
		}
	})
}
