package jose

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func benchToken(b *testing.B, alg Algorithm) (*Key, *KeySet, string) {
	b.Helper()
	k, err := Generate(alg)
	must(b, err)
	r, err := NewKeySet(k)
	must(b, err)
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"iss": "https://issuer.example", "aud": "https://api.example", "sub": "4711",
		"jti": "8f14e45fceea167a5a36dedd4bea2543", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	must(b, err)
	token, err := r.Sign(context.Background(), "at+jwt", claims)
	must(b, err)
	return k, r, token
}

func benchVerify(b *testing.B, r *KeySet, token string) {
	c := Checks{Issuer: "https://issuer.example", Audience: "https://api.example", Clock: time.Now}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		t, err := Verify(ctx, token, r, "at+jwt")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Check(t.Claims); err != nil {
			b.Fatal(err)
		}
	}
}

// The peer is golang-jwt's own parser with the same requirements, in the same run.
func BenchmarkHS256(b *testing.B) {
	k, r, token := benchToken(b, HS256)
	b.Run("vestibule", func(b *testing.B) { benchVerify(b, r, token) })
	b.Run("golang-jwt", func(b *testing.B) {
		p := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer("https://issuer.example"), jwt.WithAudience("https://api.example"))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.ParseWithClaims(token, &jwt.RegisteredClaims{}, func(*jwt.Token) (any, error) { return k.secret.key, nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The floor is the signature check alone, in the same run.
func BenchmarkEdDSA(b *testing.B) {
	k, r, token := benchToken(b, EdDSA)
	b.Run("vestibule", func(b *testing.B) { benchVerify(b, r, token) })
	b.Run("floor", func(b *testing.B) {
		t, err := Decode(token)
		must(b, err)
		for b.Loop() {
			if !ed25519.Verify(k.public.(ed25519.PublicKey), []byte(t.signed), t.signature) {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkES256(b *testing.B) {
	k, r, token := benchToken(b, ES256)
	b.Run("vestibule", func(b *testing.B) { benchVerify(b, r, token) })
	b.Run("floor", func(b *testing.B) {
		t, err := Decode(token)
		must(b, err)
		sum := sha256.Sum256([]byte(t.signed))
		sig, err := k.signer.Sign(nil, sum[:], jwt.SigningMethodES256.Hash)
		must(b, err)
		for b.Loop() {
			sum := sha256.Sum256([]byte(t.signed))
			if !ecdsa.VerifyASN1(k.public.(*ecdsa.PublicKey), sum[:], sig) {
				b.Fatal("refused")
			}
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
