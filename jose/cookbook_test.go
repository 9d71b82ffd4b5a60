package jose

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"testing"
)

// cookbook is an example of RFC 7520, RFC 7797 or RFC 8037.
type cookbook struct {
	Title        string
	Reproducible bool
	Input        struct {
		Payload string
		Key     json.RawMessage
		Alg     string
	}
	Signing struct {
		Input string `json:"sig-input"`
		Sig   string
	}
	Output struct {
		Compact string
		JSON    json.RawMessage `json:"json"`
		Flat    json.RawMessage `json:"json_flat"`
	}
}

func readCookbook(t *testing.T, parts ...string) (c cookbook, k *Key) {
	t.Helper()
	must(t, json.Unmarshal(vectors(t, append([]string{"rfc7520-cookbook"}, parts...)...), &c))
	var fields map[string]any
	must(t, json.Unmarshal(c.Input.Key, &fields))
	fields["alg"] = c.Input.Alg
	if fields["kid"] == nil {
		fields["kid"] = "k"
	}
	if fields["d"] != nil && fields["kty"] == "OKP" { // deterministic: it is signed again
		seed, err := base64.RawURLEncoding.DecodeString(fields["d"].(string))
		must(t, err)
		k, err = NewPrivate(fields["kid"].(string), EdDSA, ed25519.NewKeyFromSeed(seed))
		must(t, err)
		return c, k
	}
	raw, err := json.Marshal(fields)
	must(t, err)
	k, err = keyOf(raw)
	must(t, err)
	return c, k
}

// The other examples of the cookbook: deterministic signatures are reproduced, and an object that
// is not a compact JWS of the supported kind is rejected although its signature is right.
func TestCookbookDeterministic(t *testing.T) {
	for _, c := range []struct {
		name    []string
		compact bool // its compact form is a token
		joined  bool // signed text and signature, put together, are one
		again   bool // signing the same text gives the same signature
	}{
		{[]string{"curve25519", "jws.json"}, true, true, true},
		{[]string{"jws", "4_5.signature_with_detached_content.json"}, false, true, true},
		{[]string{"jws", "4_6.protecting_specific_header_fields.json"}, false, true, true},
		{[]string{"jws", "4_7.protecting_content_only.json"}, false, false, true},
		{[]string{"rfc7797", "4.2.hmac-sha2_b64_false.json"}, false, false, false},
	} {
		t.Run(c.name[1], func(t *testing.T) {
			example, k := readCookbook(t, c.name...)
			r, err := NewKeySet(k)
			must(t, err)
			want := fromBase64(t, example.Signing.Sig)
			if c.again {
				if !k.verify(example.Signing.Input, want) {
					t.Error("the signature is refused")
				}
				got, err := k.sign(example.Signing.Input)
				must(t, err)
				if string(got) != string(want) {
					t.Errorf("signed again: %x, want %x", got, want)
				}
			}
			for _, form := range []struct {
				name, token string
				want        bool
			}{
				{"compact", example.Output.Compact, c.compact},
				{"joined", example.Signing.Input + "." + example.Signing.Sig, c.joined},
				{"general", string(example.Output.JSON), false},
				{"flattened", string(example.Output.Flat), false},
			} {
				if got := accepts(form.token, r); got != form.want {
					t.Errorf("%s: accepted %t, want %t", form.name, got, form.want)
				}
			}
		})
	}
}

func fromBase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	must(t, err)
	return b
}
