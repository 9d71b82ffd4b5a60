package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/keys"
)

func master(t testing.TB) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(keys.Generate())
	must(t, err)
	return r
}

// A sealed key is bound to its ID, purpose and algorithm, and needs the master key.
func TestSealed(t *testing.T) {
	ring := master(t)
	for _, alg := range []Algorithm{HS256, RS256, ES256, EdDSA} {
		k, err := Generate(alg)
		must(t, err)
		id, sealed, err := k.Seal(ring, "p")
		must(t, err)
		again, err := OpenSealed(ring, "p", k.ID(), alg, id, sealed)
		must(t, err)
		one, err := NewKeySet(k)
		must(t, err)
		two, err := NewKeySet(again)
		must(t, err)
		token, err := two.Sign(t.Context(), "at+jwt", []byte(goodClaims))
		must(t, err)
		must(t, taken(token, one))
		changed := bytes.Clone(sealed)
		changed[len(changed)-1] ^= 1
		for what, f := range map[string]func() (*Key, error){
			"purpose":   func() (*Key, error) { return OpenSealed(ring, "q", k.ID(), alg, id, sealed) },
			"id":        func() (*Key, error) { return OpenSealed(ring, "p", "x", alg, id, sealed) },
			"master":    func() (*Key, error) { return OpenSealed(master(t), "p", k.ID(), alg, id, sealed) },
			"changed":   func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), alg, id, changed) },
			"short":     func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), alg, id, sealed[:5]) },
			"algorithm": func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), HS512, id, sealed) },
			"no such":   func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), "none", id, sealed) },
		} {
			if _, err := f(); err == nil {
				t.Errorf("%s: another %s opens it", alg, what)
			}
		}
	}
	ab, err := NewSecret("ab", HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	id, sealed, err := ab.Seal(ring, "c")
	must(t, err)
	if _, err := OpenSealed(ring, "bc", "a", HS256, id, sealed); err == nil {
		t.Error("what a key is bound to is not kept apart")
	}
	k, err := Generate(ES256)
	must(t, err)
	public, err := NewPublic("x", ES256, k.Public())
	must(t, err)
	if _, _, err := public.Seal(ring, "p"); err == nil || public.CanSign() {
		t.Error("a public key is sealed")
	}
}

func TestNothingIsPrinted(t *testing.T) {
	k, err := NewSecret("the-id", HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	r, err := NewKeySet(k)
	must(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "k", k)
	text, err := json.Marshal(k)
	must(t, err)
	if all := fmt.Sprintf("%v %+v %#v %s %v %#v", k, k, k, text, r, r) + log.String(); strings.Contains(all, "0123456789") || !strings.Contains(all, "the-id") {
		t.Error(all)
	}
}

// RFC 7638 section 3.1.
func TestThumbprint(t *testing.T) {
	const set = `{"keys":[{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}`
	list, err := ParseJWKS([]byte(set))
	must(t, err)
	got, err := Thumbprint(list[0].Public())
	must(t, err)
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPEM(t *testing.T) {
	for _, alg := range []Algorithm{RS256, ES384, EdDSA} {
		k, err := Generate(alg)
		must(t, err)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(k.signer)
		must(t, err)
		pkix, err := x509.MarshalPKIXPublicKey(k.public)
		must(t, err)
		forms := map[string][]byte{"PRIVATE KEY": pkcs8, "PUBLIC KEY": pkix}
		switch p := k.signer.(type) {
		case *rsa.PrivateKey:
			forms["RSA PRIVATE KEY"] = x509.MarshalPKCS1PrivateKey(p)
			forms["RSA PUBLIC KEY"] = x509.MarshalPKCS1PublicKey(&p.PublicKey)
		case *ecdsa.PrivateKey:
			if forms["EC PRIVATE KEY"], err = x509.MarshalECPrivateKey(p); err != nil {
				t.Fatal(err)
			}
		}
		for kind, der := range forms {
			got, err := ParsePEM("x", alg, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
			if err != nil || got.CanSign() != strings.Contains(kind, "PRIVATE") || got.Algorithm() != alg || got.ID() != "x" {
				t.Errorf("%s %s: %v, %v", alg, kind, got, err)
			}
			if _, err := ParsePEM("x", alg, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der[:20]})); err == nil {
				t.Errorf("%s: half of a %s is taken", alg, kind)
			}
		}
	}
	k, err := Generate(ES256)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	must(t, err)
	one := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	parameters := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}}))
	if _, err := ParsePEM("x", ES256, []byte(parameters+one)); err != nil {
		t.Errorf("a key after its parameters: %v", err)
	}
	for _, bad := range []string{"", "junk", parameters, one + one, one + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := ParsePEM("x", RS256, []byte(bad)); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
}

func TestJWKS(t *testing.T) {
	var list []*Key
	for _, alg := range []Algorithm{EdDSA, HS256, RS256, ES256, ES512} {
		k, err := Generate(alg)
		must(t, err)
		list = append(list, k)
	}
	r, err := NewKeySet(list...)
	must(t, err)
	text, err := r.JWKS(t.Context())
	must(t, err)
	if strings.Contains(string(text), `"oct"`) || strings.Contains(string(text), `"d"`) {
		t.Errorf("a secret is published: %s", text)
	}
	got, err := ParseJWKS(text)
	must(t, err)
	if len(got) != 4 {
		t.Fatalf("%d keys", len(got))
	}
	public, err := NewKeySet(got...)
	must(t, err)
	token, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
	must(t, err)
	must(t, taken(token, public))
	if _, err := public.Sign(t.Context(), "at+jwt", []byte(goodClaims)); err == nil {
		t.Error("a public key signs")
	}
	none, err := ParseJWKS(text, RS512)
	must(t, err)
	if len(none) != 0 {
		t.Errorf("keys of algorithms that are not allowed: %v", none)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"keys":5}`, `{"keys":[],"keys":[]}`, `{"keys":[` + strings.Repeat(`{},`, 64) + `{}]}`} {
		if _, err := ParseJWKS([]byte(bad)); err == nil {
			t.Errorf("%.30q: taken", bad)
		}
	}
	for _, odd := range []string{`{"keys":[5,{"kty":"x"},{"kty":"RSA","kid":"a","alg":"RS256","n":"AAAA","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"b"},{"kty":"oct","k":"AAAA","kid":"c","alg":"HS256"}]}`} {
		if list, err := ParseJWKS([]byte(odd)); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
	}
	if _, err := NewKeySet(); err == nil {
		t.Error("an empty ring")
	}
	if _, err := NewKeySet(list[0], list[0]); err == nil {
		t.Error("one ID twice")
	}
}
