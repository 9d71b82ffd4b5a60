package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Device tokens, signing keys and pruning.
func TestLives(t *testing.T) {
	path := t.TempDir() + "/db"
	t.Setenv("VESTIBULE_DB", "sqlite:"+path)
	t.Setenv("VESTIBULE_KEY", strings.Repeat("a1b2", 16))
	run := func(want string, args ...string) string {
		t.Helper()
		var out strings.Builder
		err := command(strings.NewReader("wonderland-42\n"), &out, &out).Run(t.Context(), append([]string{"vestibule"}, args...))
		text := out.String()
		if fails := strings.TrimPrefix(want, "!"); fails != want {
			if err == nil || !strings.Contains(err.Error(), fails) {
				t.Errorf("%v: %v, want %q", args, err, fails)
			}
		} else if err != nil || !strings.Contains(text, want) {
			t.Errorf("%v: %s, %v, want %q", args, text, err, want)
		}
		return text
	}
	run("schema version 21", "migrate")
	run("created user alice", "user", "create", "alice")
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	past := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	for name, clock := range map[string]func() time.Time{"phone": time.Now, "old": past} {
		s, err := knox.New(db, &knox.Options{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		u, err := db.UserByName(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			text, rec, err := s.Issue(t.Context(), u.ID, 0, knox.Token{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			list := run(rec.ID, "knox", "list", "alice")
			if strings.Contains(list, text) {
				t.Error("a token's text is listed")
			}
			if name == "phone" {
				run("!no token given", "knox", "revoke", "alice")
				run("!no such token", "knox", "revoke", "-id", "x", "alice")
			}
		}
	}
	if list := run("phone", "knox", "list", "alice"); strings.Count(list, " yes\n") != 2 || strings.Count(list, " no\n") != 2 {
		t.Error(list)
	}
	run("removed 2 records and 0 audit events", "prune")
	run("nothing to remove", "prune")
	run("nothing to remove", "prune", "-unused-clients", "-1ns")
	run("!UnusedClients", "prune", "-unused-clients", "-1h")
	run("!out of range", "prune", "-every", "0s")
	run("revoked 2 tokens", "knox", "revoke", "-all", "alice")
	run("!does not exist", "knox", "list", "bob")

	run("!has no key", "keys", "list", "-issuer", "https://app.example")
	run("!has no key", "keys", "rotate", "-issuer", "https://app.example")
	run("signs from now on", "keys", "generate", "-issuer", "https://app.example")
	run("!already has key", "keys", "generate", "-issuer", "https://app.example")
	t.Setenv("VESTIBULE_KEY", strings.Repeat("b2a1", 16))
	run("!another master key", "keys", "generate", "-issuer", "https://other.example")
	run("!check that -key is the server's master key", "keys", "rotate", "-issuer", "https://app.example")
	run("no: other master key", "keys", "list")
	if text := run("!problems found", "check"); !strings.Contains(text, "1 of 1 signing keys") {
		t.Error(text)
	}
	t.Setenv("VESTIBULE_KEY", strings.Repeat("a1b2", 16))
	if list := run("signs", "keys", "list"); strings.Count(list, "\n") != 2 || strings.Contains(list, "other.example") || !strings.Contains(list, "yes") {
		t.Error("a refused command changed something:", list)
	}
	run("signs from 20", "keys", "rotate", "-issuer", "https://app.example", "-alg", "ES256")
	run("!does not sign yet", "keys", "rotate", "-issuer", "https://app.example")
	if list := run("ES256", "keys", "list", "-issuer", "https://app.example"); strings.Count(list, "\n") != 3 || !strings.Contains(list, "EdDSA") {
		t.Error(list)
	}
	run("!at least 5m", "keys", "rotate", "-issuer", "https://app.example", "-overlap", "0s")
	run("!has no key", "keys", "expire", "-issuer", "https://app.example", "-id", "x")
	row := func(n int) []string {
		return strings.Fields(strings.Split(run("EdDSA", "keys", "list", "-issuer", "https://app.example"), "\n")[n])
	}
	if row(1)[3] != "next" || row(2)[3] != "signs" {
		t.Errorf("states %q, %q", row(1)[3], row(2)[3])
	}
	run("has expired", "keys", "expire", "-issuer", "https://app.example", "-id", row(2)[1])
	if row(1)[3] != "signs" || row(2)[3] != "expired" {
		t.Errorf("states %q, %q: the next key signs early", row(1)[3], row(2)[3])
	}
	run("!unsupported algorithm", "keys", "rotate", "-issuer", "https://app.example", "-alg", "none")
	run("!no -issuer given", "keys", "rotate")

	out := run("client_secret vcs_", "client", "create", "-id", "app", "-name", "App", "-redirect", "https://app.example/cb", "-scope", "read", "-default-scope", "read")
	secret := strings.Fields(out)[3]
	run("!already exists", "client", "create", "-id", "app", "-name", "App", "-redirect", "https://app.example/cb")
	run("!fragment", "client", "create", "-name", "App", "-redirect", "https://app.example/#x")
	run("!no redirect URI", "client", "create", "-name", "App")
	run("!cannot use client_credentials", "client", "create", "-name", "App", "-public", "-grant", "client_credentials")
	if out := run("client_id ", "client", "create", "-name", "Phone", "-public", "-native", "-redirect", "http://127.0.0.1/cb"); strings.Contains(out, "secret") {
		t.Error("a public client has a secret")
	}
	run("client_id tv", "client", "create", "-id", "tv", "-name", "TV", "-public", "-grant", "urn:ietf:params:oauth:grant-type:device_code", "-grant", "refresh_token")
	run("deleted client tv", "client", "delete", "tv")
	if list := run("https://app.example/cb", "client", "list"); strings.Count(list, "\n") != 3 || strings.Contains(list, "vcs_") {
		t.Error(list)
	}
	if next := strings.Fields(run("tokens issued with it stay valid", "client", "rotate-secret", "app"))[1]; next == secret || !strings.HasPrefix(next, "vcs_") {
		t.Error("the secret stayed")
	} else if got, err := db.ClientByID(t.Context(), "app"); err != nil || got.Secret != storage.DigestOf(next) || got.Scopes[0] != "read" {
		t.Errorf("%+v, %v", got, err)
	}
	keyFile := filepath.Join(t.TempDir(), "keys.json")
	keySet := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"%s}]}`
	for want, private := range map[string]string{"!a private key": `,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"`, "client_id signer": ""} {
		if err := os.WriteFile(keyFile, []byte(fmt.Sprintf(keySet, private)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := run(want, "client", "create", "-id", "signer", "-name", "Signer", "-method", "private_key_jwt", "-keys", keyFile, "-grant", "client_credentials"); strings.Contains(out, "secret") {
			t.Error("a client with keys has a secret")
		}
	}
	run("!no such file", "client", "create", "-name", "Signer", "-method", "private_key_jwt", "-keys", keyFile+"x", "-grant", "client_credentials")
	run("!it has no secret", "client", "rotate-secret", "signer")
	run("deleted client signer", "client", "delete", "signer")
	run("disabled client app; its tokens, grants and consents are revoked permanently", "client", "disable", "app")
	run(" no\n", "client", "list")
	run("enabled client app", "client", "enable", "app")
	run("!does not exist", "client", "delete", "nobody")
	run("deleted client app", "client", "delete", "app")
	run("!does not exist", "client", "rotate-secret", "app")
}
