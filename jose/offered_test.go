package jose

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"
)

// modulus returns an odd number of that many bits in base64url. No private key exists for it.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return base64.RawURLEncoding.EncodeToString(n.Or(n, big.NewInt(1)).Bytes())
}

func exponent(e int64) string {
	return base64.RawURLEncoding.EncodeToString(big.NewInt(e).Bytes())
}

// The sender of a key cannot raise the cost: keys are rejected by their size before any arithmetic.
func TestOfferedKeys_attack_259(t *testing.T) {
	zero := base64.RawURLEncoding.EncodeToString
	rsaKey := func(n, e string) string { return `{"kty":"RSA","n":"` + n + `","e":"` + e + `"}` }
	ec := func(crv string, size int) string {
		return `{"kty":"EC","crv":"` + crv + `","x":"` + zero(make([]byte, size)) + `","y":"` + zero(make([]byte, size)) + `"}`
	}
	for what, x := range map[string]struct {
		key string
		alg Algorithm
	}{
		"edge_A12/RSA-8192 with a long exponent": {rsaKey(modulus(8192), exponent(1<<31-1)), RS256},
		"edge_A12/RSA-8192":                      {rsaKey(modulus(8192), exponent(65537)), RS256},
		"edge_A12/RSA-4097":                      {rsaKey(modulus(4097), exponent(65537)), PS256},
		"edge_A12/RSA-2047":                      {rsaKey(modulus(2047), exponent(65537)), RS256},
		"edge_A12/RSA-2048 with a long exponent": {rsaKey(modulus(2048), exponent(1<<31-1)), RS256},
		"edge_A12/exponent 65539":                {rsaKey(modulus(2048), exponent(65539)), RS256},
		"edge_A12/exponent 3":                    {rsaKey(modulus(2048), exponent(3)), RS256},
		"edge_A12/exponent of 64 bits":           {rsaKey(modulus(2048), exponent(1<<62+1)), RS256},
		"edge_A12/exponent as long as a token":   {rsaKey(modulus(2048), strings.Repeat("AQAB", 1000)), RS256},
		"edge_A12/modulus as long as a token":    {rsaKey(strings.Repeat("_", 8000), exponent(65537)), RS256},
		"edge_A12/leading zeros":                 {rsaKey("AAAA"+modulus(2048), exponent(65537)), RS256},
		"edge_A12/P-521 without the option":      {ec("P-521", 66), ES512},
		"edge_A12/a long coordinate":             {ec("P-256", 4000), ES256},
		"edge_A12/a curve that is not known":     {ec("secp256k1", 32), ES256},
		"edge_A12/Ed25519 too long":              {`{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 4000) + `"}`, EdDSA},
		"edge_A12/deep":                          {`{"kty":"RSA","n":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`, RS256},
		"edge_A12/many members":                  {`{"kty":"RSA"` + members(200) + `}`, RS256},
	} {
		t.Run(what, func(t *testing.T) {
			allowed := []Algorithm{ES256, ES384, EdDSA, PS256, RS256}
			token := b64(`{"typ":"dpop+jwt","alg":"`+string(x.alg)+`","jwk":`+x.key+`}`) + "." + b64(`{"jti":"a"}`) + ".AAAA"
			if _, err := DecodeEmbedded(token, "dpop+jwt", allowed...); !errors.Is(err, ErrInvalid) {
				t.Errorf("in a header: %v", err)
			}
			set := `{"keys":[` + strings.Replace(x.key, "{", `{"kid":"a","alg":"`+string(x.alg)+`",`, 1) + `]}`
			if list, err := ParseOfferedJWKS([]byte(set)); err == nil && len(list) > 0 {
				t.Error("in a set: taken")
			}
		})
	}
	for what, x := range map[string]struct {
		key string
		alg Algorithm
	}{
		"RSA-2048": {rsaKey(modulus(2048), "AQAB"), RS256}, "RSA-4096": {rsaKey(modulus(4096), "AQAB"), PS256},
	} {
		token := b64(`{"typ":"dpop+jwt","alg":"`+string(x.alg)+`","jwk":`+x.key+`}`) + "." + b64(`{"jti":"a"}`) + ".AAAA"
		e, err := DecodeEmbedded(token, "dpop+jwt", RS256, PS256)
		if err != nil || e.Thumbprint == "" {
			t.Fatalf("%s: %v", what, err)
		}
		if err := e.Verify(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: a wrong signature: %v", what, err)
		}
	}
	t.Run("edge_A12/keys of an issuer", func(t *testing.T) {
		set := func(n, e string) []byte {
			return []byte(`{"keys":[{"kid":"a","alg":"RS256","kty":"RSA","n":"` + n + `","e":"` + e + `"}]}`)
		}
		for _, x := range []struct {
			bits int
			e    int64
			want int
		}{{8192, 65537, 1}, {8193, 65537, 0}, {2048, 3, 1}, {2048, 65539, 0}, {2048, 1<<31 - 1, 0}} {
			list, err := ParseJWKS(set(modulus(x.bits), exponent(x.e)))
			if err != nil || len(list) != x.want {
				t.Errorf("%d bits, %d: %d keys, %v", x.bits, x.e, len(list), err)
			}
		}
		n, _ := new(big.Int).SetString("1", 10)
		n.Lsh(n, 2047).Or(n, big.NewInt(1))
		if _, err := NewPublic("a", RS256, &rsa.PublicKey{N: n, E: 1<<31 - 1}); err == nil {
			t.Error("a long exponent")
		}
	})
	t.Run("edge_A12/a set of many keys", func(t *testing.T) {
		var all []string
		for i := range 9 {
			all = append(all, fmt.Sprintf(`{"kid":"%d","alg":"RS256","kty":"RSA","n":%q,"e":"AQAB"}`, i, modulus(2048)))
		}
		if _, err := ParseOfferedJWKS([]byte(`{"keys":[` + strings.Join(all, ",") + `]}`)); err == nil {
			t.Error("9 keys")
		}
		if list, err := ParseOfferedJWKS([]byte(`{"keys":[` + strings.Join(all[:8], ",") + `]}`)); err != nil || len(list) != 8 {
			t.Errorf("8 keys: %d, %v", len(list), err)
		}
	})
	t.Run("P-521 by option", func(t *testing.T) {
		k, err := Generate(ES512)
		must(t, err)
		text, err := marshalJWKS([]*Key{k})
		must(t, err)
		if list, _ := ParseOfferedJWKS(text); len(list) != 0 {
			t.Error("taken without")
		}
		if list, _ := ParseOfferedJWKS(text, ES512); len(list) != 1 {
			t.Error("refused with")
		}
	})
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":0`, i)
	}
	return b.String()
}

// bytesOf returns how many bytes a call allocates.
func bytesOf(f func()) uint64 {
	const times = 16
	var before, after runtime.MemStats
	f() // what is made once does not count
	runtime.ReadMemStats(&before)
	for range times {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / times
}

// The memory for a rejection is limited by the token's length, whatever it holds.
func TestDecodeCosts(t *testing.T) {
	body := func(text string) string { return b64(`{"alg":"ES256"}`) + "." + b64(text) + ".AAAA" }
	for what, token := range map[string]string{
		"edge_A12/long list":    body(`{"aud":[` + strings.TrimSuffix(strings.Repeat(`"",`, 4000), ",") + `]}`),
		"edge_A12/many members": body(`{"a":0` + members(1200) + `}`),
		"edge_A12/nested lists": body(`{"a":` + strings.Repeat(`[0],`, 1)[:3] + `,"b":[` + strings.TrimSuffix(strings.Repeat(`[],`, 4000), ",") + `]}`),
		"edge_A12/escapes":      body(`{"iss":"` + strings.Repeat(`\u0041`, 2000) + `"}`),
		"edge_A12/long number":  body(`{"iat":` + strings.Repeat("9", 12000) + `}`),
		"edge_A12/x5c":          b64(`{"alg":"ES256","x5c":["`+strings.Repeat("A", 11000)+`"]}`) + "." + b64(`{}`) + ".AAAA",
		"edge_A12/deep":         body(strings.Repeat(`{"a":`, 2000) + "0" + strings.Repeat("}", 2000)),
		"edge_A12/too long":     strings.Repeat("A", 1<<20) + "." + strings.Repeat("A", 1<<20) + ".AAAA",
		"edge_A12/many dots":    strings.Repeat(".", 1<<20),
	} {
		t.Run(what, func(t *testing.T) {
			allocated := bytesOf(func() {
				if t, err := Decode(token); err == nil {
					_, _ = t.Claims.Registered()
				}
			})
			if allocated > 64<<10 {
				t.Errorf("%d bytes", allocated)
			}
		})
	}
}
