package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
)

// boundToken gets a token that is bound to a key. It returns the header with the token, the header with
// a new proof for a GET, and the token.
func boundToken(t *testing.T, c demotest.Client) (bound string, proofFor func(path string) string, token string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var server struct {
		Issuer string   `json:"issuer"`
		Token  string   `json:"token_endpoint"`
		Algs   []string `json:"dpop_signing_alg_values_supported"`
	}
	if _, text := c.Do("GET", "/.well-known/oauth-authorization-server", ""); json.Unmarshal([]byte(text), &server) != nil || len(server.Algs) == 0 {
		t.Fatal(text)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	proof := func(method, uri, token string) string {
		sum := sha256.Sum256([]byte(token))
		head := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":%q}}`, b64(public))
		claims := fmt.Sprintf(`{"jti":%q,"htm":%q,"htu":%q,"iat":%d,"ath":%q}`, rand.Text(), method, uri, time.Now().Unix(), b64(sum[:]))
		signed := b64([]byte(head)) + "." + b64([]byte(claims))
		return "DPoP: " + signed + "." + b64(ed25519.Sign(key, []byte(signed)))
	}
	_, text := c.Do("POST", "/oauth2/token", "grant_type=client_credentials&scope=profile", basicAuth("demo-confidential", "demo-secret"), proof("POST", server.Token, ""))
	var got struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Type != "DPoP" {
		t.Fatalf("%s, %v", text, err)
	}
	return "Authorization: DPoP " + got.Access, func(path string) string { return proof("GET", server.Issuer+path, got.Access) }, got.Access
}

// dpopPaths gets a token that is bound to a key and uses it.
func dpopPaths(t *testing.T, c demotest.Client) {
	bound, proofFor, token := boundToken(t, c)
	one := proofFor("/api/profile")
	c.Is(200, `{"username":"","email":"","scheme":"oauth2","client":"demo-confidential"}`, "GET", "/api/profile", "", bound, one)
	if resp := c.Is(401, "*", "GET", "/api/profile", "", bound, one); resp.Header.Get("WWW-Authenticate") != `DPoP error="invalid_dpop_proof", algs="ES256 EdDSA PS256 RS256"` {
		t.Errorf("again: %v", resp.Header)
	}
	c.Is(401, "*", "GET", "/api/open", "", bound)
	c.Is(401, invalid, "GET", "/api/open", "", "Authorization: Bearer "+token)
	c.Is(401, invalid, "GET", "/api/open", "", "Authorization: DPoP junk", one)
}
