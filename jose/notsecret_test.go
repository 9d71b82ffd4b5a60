package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// A public key in any of its forms is no HMAC secret: who knows the key could sign.
func TestSecretsAreNoKeyFiles_attack_271(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	spki := der(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey))
	ecSPKI := der(x509.MarshalPKIXPublicKey(&ecKey.PublicKey))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)}
	certificate := der(x509.CreateCertificate(rand.Reader, template, template, &ecKey.PublicKey, ecKey))
	point := der(ecKey.PublicKey.Bytes())
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	trimmed := bytes.TrimSpace(inPEM)
	var wide []byte
	for _, unit := range utf16.Encode([]rune(string(trimmed))) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	const b64 = "AAAAC3NzaC1lZDI1NTE5AAAAIMRsmd0pgu5TnAVhvbWZYqBpgkLTUjHaAa0HbWQxKxxY"
	for name, text := range map[string][]byte{
		"PEM":                         trimmed,
		"PEM of a certificate":        bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})),
		"PEM of a private key":        bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})),
		"PEM after a comment":         append([]byte("# key\n"), trimmed...),
		"PEM with a BOM":              append([]byte("\ufeff"), trimmed...),
		"PEM in base64":               []byte(base64.StdEncoding.EncodeToString(inPEM)),
		"PEM in UTF-16":               append([]byte{0xff, 0xfe}, wide...),
		"PEM without its line breaks": []byte(strings.ReplaceAll(string(trimmed), "\n", "")),
		"DER":                         spki,
		"DER of an EC key":            ecSPKI,
		"DER of PKCS #1":              x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey),
		"DER of a certificate":        certificate,
		"DER in base64":               []byte(base64.StdEncoding.EncodeToString(ecSPKI)),
		"DER in base64url":            []byte(base64.RawURLEncoding.EncodeToString(ecSPKI)),
		"DER in base64 lines":         bytes.TrimSpace([]byte(strings.Join(strings.SplitAfterN(base64.StdEncoding.EncodeToString(spki), "A", 3), "\r\n"))),
		"DER in hex":                  []byte(hex.EncodeToString(ecSPKI)),
		"EC point":                    point,
		"EC point in hex":             []byte(hex.EncodeToString(point)),
		"JWK":                         []byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`),
		"JWK set":                     []byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`),
		"list of JWKs":                []byte(`[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"k"}]`),
		"JWK in base64url":            []byte(base64.RawURLEncoding.EncodeToString([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`))),
		"ssh-rsa":                     []byte("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDTgvwjlRHZ user@host"),
		"ssh-ed25519":                 []byte("ssh-ed25519 " + b64 + " user@host"),
		"ecdsa-sha2":                  []byte("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI"),
		"security key":                []byte("sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2g"),
		"SSH key without its name":    []byte(b64),
		"SSH2":                        []byte("---- BEGIN SSH2 PUBLIC KEY ----\n" + b64),
		"ssh-rsa with options":        []byte(`no-pty,command="x" ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDTgvwjlRHZ user@host`),
		"ssh-ed25519 of a known host": []byte("host.example ssh-ed25519 " + b64),
		"ssh-rsa after a comment":     []byte("# mine\nssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDTgvwjlRHZ user@host"),
		"JWK after a comment":         []byte("// key\n" + `{"kty":"RSA","n":"AQABAQABAQABAQABAQABAQAB","e":"AQAB"}`),
		"JWKs in lines":               []byte(`{"kty":"RSA","n":"AQAB","e":"AQAB"}` + "\n" + `{"kty":"RSA","n":"AQAB","e":"AQAB"}`),
		"JWK in quotes":               []byte(`"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"`),
		"XML with its declaration":    []byte(`<?xml version="1.0"?><RSAKeyValue><Modulus>AQAB</Modulus></RSAKeyValue>`),
		"compressed EC point":         compressed,
		"compressed EC point in hex":  []byte(hex.EncodeToString(compressed)),
		"PuTTY":                       []byte("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none"),
		"XML":                         []byte("<RSAKeyValue><Modulus>AQAB</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>"),
	} {
		t.Run("edge_A18/"+name, func(t *testing.T) {
			for _, alg := range []Algorithm{HS256, HS384} {
				if len(text) < 48 && alg != HS256 {
					continue // refused for its length
				}
				k, err := NewSecret("k", alg, text)
				if err == nil {
					t.Fatalf("%s took it: %v", alg, k)
				}
				if strings.Contains(err.Error(), string(text)) {
					t.Errorf("the error quotes it: %v", err)
				}
			}
		})
	}
	for name, text := range map[string]string{
		"text": "correct horse battery staple, thirty-two", "Django's": "django-insecure-#x)k2&v4@g!5w8%y(q1z0m+n-b^c*r7t",
		"hex": hex.EncodeToString(bytes.Repeat([]byte("0123456789abcdef"), 2)), "a brace": "{0123456789abcdef0123456789abcdef",
		"begins as DER": "0\x82\x01\x010123456789abcdef0123456789abcdef", "begins as a point": "\x040123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	} {
		if _, err := NewSecret("k", HS256, []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2000 {
		if _, err := Generate(HS512); err != nil {
			t.Fatal(err)
		}
	}
}
