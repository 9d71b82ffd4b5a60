package jose

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// Project Wycheproof's vectors for the primitives, with the keys of this package. JWS allows fewer
// lengths and encodings than the vectors do.
func TestWycheproofPrimitives(t *testing.T) {
	type group struct {
		PublicKeyPem     string
		KeySize, TagSize json.Number
		Tests            []struct {
			TcID          int
			Comment       string
			Key, Msg, Tag string
			Sig           string
			Result        string
		}
	}
	for name, alg := range map[string]Algorithm{
		"ecdsa_secp256r1_sha256_p1363_test": ES256,
		"ecdsa_secp384r1_sha384_p1363_test": ES384,
		"ecdsa_secp521r1_sha512_p1363_test": ES512,
		"ed25519_test":                      EdDSA,
		"hmac_sha256_test":                  HS256,
		"hmac_sha384_test":                  HS384,
		"hmac_sha512_test":                  HS512,
		"rsa_signature_2048_sha256_test":    RS256,
		"rsa_signature_2048_sha384_test":    RS384,
		"rsa_signature_2048_sha512_test":    RS512,
		"rsa_pss_2048_sha256_mgf1_32_test":  PS256,
		"rsa_pss_2048_sha384_mgf1_48_test":  PS384,
		"rsa_pss_4096_sha512_mgf1_64_test":  PS512,
	} {
		t.Run(string(alg), func(t *testing.T) {
			var file struct{ TestGroups []group }
			must(t, json.Unmarshal(vectors(t, "wycheproof", name+".json"), &file))
			unhex := func(s string) []byte {
				b, err := hex.DecodeString(s)
				must(t, err)
				return b
			}
			ran, valid, noKey := 0, 0, 0
			for _, g := range file.TestGroups {
				var k *Key
				var err error
				if g.PublicKeyPem != "" {
					k, err = ParsePEM("k", alg, []byte(g.PublicKeyPem))
				}
				for _, c := range g.Tests {
					sig := unhex(c.Sig)
					whole := true
					if g.PublicKeyPem == "" {
						sig = unhex(c.Tag)
						k, err = NewSecret("k", alg, unhex(c.Key))
						whole = k == nil || len(sig) == k.method.hash.Size()
					}
					ran++
					if err != nil {
						noKey++
						continue
					}
					got := k.verify(string(unhex(c.Msg)), sig)
					if got {
						valid++
					}
					// A truncated MAC is valid in the vectors and invalid in JWS (RFC 7518, section
					// 3.2).
					if want := c.Result == "valid" && whole; got != want && (c.Result != "acceptable" || got && !whole) {
						t.Errorf("%d (%s, %s): accepted %t, want %t", c.TcID, c.Result, c.Comment, got, want)
					}
				}
			}
			t.Logf("%d cases, %d accepted, %d of keys that are refused", ran, valid, noKey)
			if ran < 20 || valid < 2 || noKey > ran/4 {
				t.Errorf("%d cases, %d accepted, %d of keys that are refused", ran, valid, noKey)
			}
		})
	}
}

// Deterministic signatures are reproduced: RFC 7515, A.1; RFC 8037, A.4; and the HMACs of RFC 7520,
// sections 4.5 and 4.6.
func TestDeterministicSignatures(t *testing.T) {
	bytesOf := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		must(t, err)
		return b
	}
	again := func(name string, k *Key, signed, want string) {
		t.Helper()
		got, err := k.sign(signed)
		must(t, err)
		if base64.RawURLEncoding.EncodeToString(got) != want {
			t.Errorf("%s: another signature", name)
		}
		if !k.verify(signed, bytesOf(want)) || k.verify(signed+"x", bytesOf(want)) {
			t.Errorf("%s: does not verify, or what was changed does", name)
		}
	}
	secret, err := NewSecret("k", HS256, bytesOf("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"))
	must(t, err)
	const a1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	const a1sig = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	again("RFC 7515 A.1", secret, a1, a1sig)
	r, err := NewKeySet(secret)
	must(t, err)
	tok, err := Verify(t.Context(), a1+"."+a1sig, r, "JWT")
	must(t, err)
	if iss, _ := tok.Claims.Text("iss"); iss != "joe" {
		t.Errorf("iss is %q", iss)
	}
	type example struct {
		Input struct {
			Key struct{ K, D string }
		}
		Signing struct {
			Input string `json:"sig-input"`
			Sig   string
		}
	}
	var ed example
	must(t, json.Unmarshal(vectors(t, "rfc7520-cookbook", "curve25519", "jws.json"), &ed))
	k, err := NewPrivate("k", EdDSA, ed25519.NewKeyFromSeed(bytesOf(ed.Input.Key.D)))
	must(t, err)
	again("RFC 8037 A.4", k, ed.Signing.Input, ed.Signing.Sig)
	for _, name := range []string{"4_5.signature_with_detached_content", "4_6.protecting_specific_header_fields"} {
		var e example
		must(t, json.Unmarshal(vectors(t, "rfc7520-cookbook", "jws", name+".json"), &e))
		k, err := NewSecret("k", HS256, bytesOf(e.Input.Key.K))
		must(t, err)
		again(name, k, e.Signing.Input, e.Signing.Sig)
		r, err := NewKeySet(k)
		must(t, err)
		// The payload is a text, or absent because it is detached: it is not a set of claims.
		head, payload, _ := strings.Cut(e.Signing.Input, ".")
		for _, body := range []string{payload, ""} {
			if _, err := Verify(t.Context(), head+"."+body+"."+e.Signing.Sig, r, "JWT"); err == nil {
				t.Errorf("%s is taken for a token", name)
			}
		}
	}
}
