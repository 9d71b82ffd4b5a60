package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func TestSignatureAttacks(t *testing.T) {
	sign := func(t *testing.T, alg Algorithm) (*Key, *KeySet, string, []byte) {
		t.Helper()
		k, err := Generate(alg)
		must(t, err)
		r, err := NewKeySet(k)
		must(t, err)
		token, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
		must(t, err)
		must(t, taken(token, r))
		i := strings.LastIndexByte(token, '.')
		sig, err := base64.RawURLEncoding.DecodeString(token[i+1:])
		must(t, err)
		return k, r, token[:i+1], sig
	}
	with := func(head string, sig []byte) string { return head + base64.RawURLEncoding.EncodeToString(sig) }
	t.Run("attack_070_ecdsa", func(t *testing.T) {
		k, r, head, sig := sign(t, ES256)
		zero, n := make([]byte, 32), k.method.curve.Params().N.Bytes()
		der := append([]byte{0x30, 0x44, 2, 32}, append(append(append([]byte{}, sig[:32]...), 2, 32), sig[32:]...)...)
		for _, bad := range [][]byte{der, append(append([]byte{}, zero...), sig[32:]...), append(append([]byte{}, sig[:32]...), zero...), append(append([]byte{}, n...), sig[32:]...),
			append([]byte{0}, sig...), append(append([]byte{}, sig...), 0), sig[:63], make([]byte, 64)} {
			refused(t, r, with(head, bad))
		}
		twin := new(big.Int).Sub(k.method.curve.Params().N, new(big.Int).SetBytes(sig[32:]))
		if err := taken(with(head, append(append([]byte{}, sig[:32]...), twin.FillBytes(make([]byte, 32))...)), r); err != nil {
			t.Errorf("the twin verifies, so the text is no identity of a token: %v", err)
		}
	})
	t.Run("attack_071_ed25519", func(t *testing.T) {
		_, r, head, sig := sign(t, EdDSA)
		l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
		s := make([]byte, 32)
		for i := range s {
			s[i] = sig[63-i]
		}
		s = new(big.Int).Add(new(big.Int).SetBytes(s), l).FillBytes(make([]byte, 32))
		bad := append([]byte{}, sig[:32]...)
		for i := range s {
			bad = append(bad, s[31-i])
		}
		refused(t, r, with(head, bad), with(head, sig[:63]), with(head, append(append([]byte{}, sig...), 0)))
		small := make([]byte, 32)
		for _, first := range []byte{0, 1} {
			small[0] = first
			j, err := json.Marshal(map[string]any{"keys": []any{jwk{Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(small), Kid: "x", Alg: "EdDSA"}}})
			must(t, err)
			if list, err := ParseJWKS(j); err != nil || len(list) > 0 {
				t.Errorf("a key of small order: %v, %v", list, err)
			}
		}
	})
	t.Run("attack_072_rsa", func(t *testing.T) {
		for _, alg := range []Algorithm{RS256, PS256} {
			k, r, head, sig := sign(t, alg)
			over := new(big.Int).Add(new(big.Int).SetBytes(sig), k.public.(*rsa.PublicKey).N).Bytes()
			refused(t, r, with(head, over), with(head, append([]byte{0}, sig...)), with(head, sig[1:]), with(head, sig[:len(sig)-1]), with(head, make([]byte, len(sig))))
		}
		// A signature that begins with a zero is rejected without it.
		zk, err := Generate(RS256)
		must(t, err)
		zr, err := NewKeySet(zk)
		must(t, err)
		for i := 0; ; i++ {
			signed := b64(fmt.Sprintf(`{"alg":"RS256","typ":"at+jwt","n":%d}`, i)) + "." + b64(goodClaims)
			sig, err := zk.sign(signed)
			must(t, err)
			if sig[0] == 0 {
				must(t, taken(with(signed+".", sig), zr))
				refused(t, zr, with(signed+".", sig[1:]))
				break
			}
		}
		k, r, head, _ := sign(t, PS256)
		sum := sha256.Sum256([]byte(head[:len(head)-1]))
		salted, err := rsa.SignPSS(rand.Reader, k.signer.(*rsa.PrivateKey), 5, sum[:], &rsa.PSSOptions{SaltLength: 20})
		must(t, err)
		refused(t, r, with(head, salted))
	})
	t.Run("attack_073_secrets", func(t *testing.T) {
		for name, secret := range map[string]string{"empty": "", "short": "0123456789abcdef0123456789abcde", "line break": "0123456789abcdef0123456789abcdef\n", "blank": " 0123456789abcdef0123456789abcdef", "one byte": strings.Repeat("a", 40)} {
			if _, err := NewSecret("k", HS256, []byte(secret)); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		if _, err := NewSecret("k", HS512, make([]byte, 63)); err == nil {
			t.Error("63 bytes are taken for HS512")
		}
		weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
		if _, err := NewPublic("k", RS256, weak); err == nil {
			t.Error("RSA of 1024 bits is taken")
		}
	})
}
