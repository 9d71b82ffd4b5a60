package jose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// withKey signs claims under a header that holds k's public key, with some members of header and
// key changed; an empty value removes one.
func withKey(t testing.TB, k *Key, header, key map[string]string, claims string) string {
	t.Helper()
	j, err := newJWK(k.public)
	must(t, err)
	text, err := json.Marshal(j)
	must(t, err)
	change := func(text []byte, with map[string]string) []byte {
		var m map[string]json.RawMessage
		must(t, json.Unmarshal(text, &m))
		for name, v := range with {
			if delete(m, name); v != "" {
				m[name] = json.RawMessage(v)
			}
		}
		out, err := json.Marshal(m)
		must(t, err)
		return out
	}
	text = change(text, key)
	head := change([]byte(`{"typ":"dpop+jwt","alg":"`+string(k.alg)+`","jwk":`+string(text)+`}`), header)
	signed := b64(string(head)) + "." + b64(claims)
	sig, err := k.sign(signed)
	must(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// verifyEmbedded decodes and verifies.
func verifyEmbedded(token, typ string, allowed ...Algorithm) (Claims, string, error) {
	e, err := DecodeEmbedded(token, typ, allowed...)
	if err == nil {
		err = e.Verify()
	}
	if err != nil {
		return Claims{}, "", err
	}
	return e.Claims, e.Thumbprint, nil
}

func TestEmbedded(t *testing.T) {
	allowed := []Algorithm{ES256, EdDSA, PS256, RS256}
	for _, alg := range allowed {
		k, err := Generate(alg)
		must(t, err)
		want, err := Thumbprint(k.public)
		must(t, err)
		claims, got, err := verifyEmbedded(withKey(t, k, nil, map[string]string{"key_ops": `["verify"]`, "ext": "true", "use": `"sig"`}, `{"jti":"a"}`), "dpop+jwt", allowed...)
		if jti, _ := claims.Text("jti"); err != nil || got != want || jti != "a" {
			t.Errorf("%s: %q, %v", alg, got, err)
		}
	}
	k, err := Generate(ES256)
	must(t, err)
	other, err := Generate(ES256)
	must(t, err)
	j, err := newJWK(other.public)
	must(t, err)
	text, err := json.Marshal(j)
	must(t, err)
	p384, err := Generate(ES384)
	must(t, err)
	hs, err := NewSecret("k", HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	hsHead := b64(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}}`)
	hsSig, err := hs.sign(hsHead + "." + b64("{}"))
	must(t, err)
	good := withKey(t, k, nil, nil, "{}")
	type m = map[string]string
	for what, token := range map[string]string{
		"attack_184_typ":         withKey(t, k, m{"typ": `"JWT"`}, nil, "{}"),
		"attack_184_no_typ":      withKey(t, k, m{"typ": ""}, nil, "{}"),
		"attack_184_access":      withKey(t, k, m{"typ": `"at+jwt"`}, nil, "{}"),
		"attack_184_no_jwk":      withKey(t, k, m{"jwk": ""}, nil, "{}"),
		"attack_184_other_jwk":   withKey(t, k, m{"jwk": string(text)}, nil, "{}"),
		"attack_184_jwk_text":    withKey(t, k, m{"jwk": `"x"`}, nil, "{}"),
		"attack_184_jwk_null":    withKey(t, k, m{"jwk": "null"}, nil, "{}"),
		"attack_184_private":     withKey(t, k, nil, m{"d": `"AA"`}, "{}"),
		"attack_184_off_curve":   withKey(t, k, nil, m{"x": `"` + strings.Repeat("A", 43) + `"`}, "{}"),
		"attack_184_curve":       withKey(t, k, nil, m{"crv": `"P-384"`}, "{}"),
		"attack_184_use":         withKey(t, k, nil, m{"use": `"enc"`}, "{}"),
		"attack_184_ops":         withKey(t, k, nil, m{"key_ops": `["sign"]`}, "{}"),
		"attack_184_jwk_alg":     withKey(t, k, nil, m{"alg": `"PS256"`}, "{}"),
		"attack_184_alg":         withKey(t, k, m{"alg": `"EdDSA"`}, nil, "{}"),
		"attack_184_none":        withKey(t, k, m{"alg": `"none"`}, nil, "{}"),
		"attack_184_not_allowed": withKey(t, p384, nil, nil, "{}"),
		"attack_184_HS":          hsHead + "." + b64("{}") + "." + base64.RawURLEncoding.EncodeToString(hsSig),
		"attack_184_crit":        withKey(t, k, m{"crit": `["x"]`}, nil, "{}"),
		"attack_184_jku":         withKey(t, k, m{"jku": `"https://evil.example"`}, nil, "{}"),
		"attack_184_claims":      withKey(t, k, nil, nil, `{"jti":"a","jti":"b"}`),
		"attack_184_two":         good + "," + good,
		"attack_184_signature":   good[:len(good)-8] + "AAAAAAAA",
		"attack_184_empty":       "",
	} {
		t.Run(what, func(t *testing.T) {
			if _, _, err := verifyEmbedded(token, "dpop+jwt", allowed...); !errors.Is(err, ErrInvalid) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, _, err := verifyEmbedded(withKey(t, k, m{"typ": ""}, nil, "{}"), "", allowed...); err == nil {
		t.Error("no type is a type")
	}
	// All other functions reject a key in the header.
	if _, err := Decode(good); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func FuzzVerifyEmbedded(f *testing.F) {
	k, err := Generate(EdDSA)
	must(f, err)
	f.Add(withKey(f, k, nil, nil, `{"jti":"a"}`))
	f.Add(b64(`{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`) + "." + b64("{}") + ".AAAA")
	f.Add(b64(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"","y":""}}`) + "." + b64("{}") + ".AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		_, thumbprint, err := verifyEmbedded(token, "dpop+jwt", ES256, EdDSA, RS256)
		if err == nil && len(thumbprint) != 43 || err != nil && (thumbprint != "" || !errors.Is(err, ErrInvalid)) {
			t.Fatalf("%q, %v", thumbprint, err)
		}
	})
}
