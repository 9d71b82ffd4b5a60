package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Verifiers that do not support EdDSA can use ES256 or RS256: the published key verifies a token
// with only the standard library.
func TestAlgorithmsThatOthersRead(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.RS256} {
		t.Run("edge_B16/"+string(alg), func(t *testing.T) {
			master, err := keys.NewRing(keys.Generate())
			schemetest.Must(t, err)
			now := func() time.Time { return time.Unix(1_800_000_000, 0) }
			stored, err := jwt.NewStoredKeys(memory.New(nil), master, issuer, &jwt.KeyOptions{Algorithm: alg, Clock: now})
			schemetest.Must(t, err)
			schemetest.Must(t, stored.Ensure(t.Context()))
			jwks, err := stored.JWKS(t.Context())
			schemetest.Must(t, err)
			published, err := jose.ParseJWKS(jwks, alg)
			if err != nil || len(published) != 1 || published[0].Algorithm() != alg {
				t.Fatalf("%s, %v", jwks, err)
			}
			text, err := stored.Sign(t.Context(), "at+jwt", []byte(`{"sub":"1"}`))
			schemetest.Must(t, err)
			signed, signature, _ := strings.Cut(text[strings.Index(text, ".")+1:], ".")
			signed = text[:strings.Index(text, ".")+1] + signed
			sum := sha256.Sum256([]byte(signed))
			sig, err := base64.RawURLEncoding.DecodeString(signature)
			schemetest.Must(t, err)
			switch key := published[0].Public().(type) {
			case *ecdsa.PublicKey:
				if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
					t.Error("the standard library does not verify it")
				}
			case *rsa.PublicKey:
				schemetest.Must(t, rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig))
			default:
				t.Errorf("%T", key)
			}
		})
	}
}
