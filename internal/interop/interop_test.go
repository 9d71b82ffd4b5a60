//go:build interop

package interop

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const (
	issuer   = "https://app.example"
	audience = "https://api.example"
)

// node runs the client, in the folder where its package is installed.
func node(t *testing.T, result any, args ...string) error {
	t.Helper()
	client, err := filepath.Abs("client.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", append([]string{client}, args...)...)
	cmd.Dir = os.Getenv("VESTIBULE_INTEROP")
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, result)
}

func TestTheyVerifyOurs(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.RS256, jose.PS512} {
		t.Run(string(alg), func(t *testing.T) {
			k, err := jose.Generate(alg)
			if err != nil {
				t.Fatal(err)
			}
			ring, err := jose.NewKeySet(k)
			if err != nil {
				t.Fatal(err)
			}
			db := memory.New(nil)
			if err := db.CreateUser(t.Context(), storage.User{ID: "user-1", Name: "alice", Active: true}); err != nil {
				t.Fatal(err)
			}
			s, err := jwt.New(issuer, audience, ring, db, nil)
			if err != nil {
				t.Fatal(err)
			}
			pair, err := s.Issue(t.Context(), "user-1", 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(s.JWKS())
			defer server.Close()
			var got struct {
				Payload         map[string]any
				ProtectedHeader map[string]string
			}
			if err := node(t, &got, "verify", server.URL, issuer, audience, pair.Access); err != nil {
				t.Fatalf("refused: %v", err)
			}
			if got.Payload["sub"] != "user-1" || got.ProtectedHeader["alg"] != string(alg) || got.ProtectedHeader["kid"] != k.ID() {
				t.Errorf("%+v", got)
			}
			for what, token := range map[string]string{"another signature": pair.Access[:len(pair.Access)-8] + "AAAAAAAA", "a refresh token": pair.Refresh} {
				if err := node(t, &got, "verify", server.URL, issuer, audience, token); err == nil {
					t.Errorf("%s is accepted: this test cannot fail", what)
				}
			}
		})
	}
}

func TestWeVerifyTheirs(t *testing.T) {
	var made struct {
		JWKS   json.RawMessage
		Tokens map[string]string
	}
	if err := node(t, &made, "make", issuer, audience); err != nil {
		t.Fatal(err)
	}
	keys, err := jose.ParseJWKS(made.JWKS)
	if err != nil || len(keys) != len(made.Tokens) || len(keys) != 8 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	ring, err := jose.NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jwt.NewVerifier(issuer, audience, ring, nil)
	if err != nil {
		t.Fatal(err)
	}
	for alg, token := range made.Tokens {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if id, err := v.Authenticate(r); err != nil || id.Subject != "user-7" || len(id.Scopes) != 1 {
			t.Errorf("%s: %+v, %v", alg, id, err)
		}
	}
}
