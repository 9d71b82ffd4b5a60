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
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// A public key in any form is not accepted as an HMAC secret, because anyone who knows it could
// sign.
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
		"PEM in base64 twice":         []byte(b64of(b64of(string(inPEM)))),
		"PEM in base64 three times":   []byte(b64of(b64of(b64of(string(inPEM))))),
		"DER in base64 twice":         []byte(b64of(b64of(string(ecSPKI)))),
		"DER in hex in base64":        []byte(b64of(hex.EncodeToString(ecSPKI))),
		"DER in base64url twice":      []byte(base64.RawURLEncoding.EncodeToString([]byte(base64.RawURLEncoding.EncodeToString(ecSPKI)))),
		"private DER in base64 twice": []byte(b64of(b64of(string(x509.MarshalPKCS1PrivateKey(rsaKey))))),
		"data URL of PEM":             []byte("data:application/x-pem-file;base64," + b64of(string(inPEM))),
		"data URL of DER":             []byte("DATA:;base64," + b64of(string(ecSPKI))),
		"data URL, escaped":           []byte("data:text/plain," + url.PathEscape(string(inPEM))),
		"data URL, base64 escaped":    []byte("data:application/octet-stream;base64," + url.QueryEscape(b64of(string(ecSPKI)))),
		"data URL in base64":          []byte(b64of("data:;base64," + b64of(string(ecSPKI)))),
		"data URL of a JWK":           []byte("data:application/jwk+json,%7B%22kty%22:%22RSA%22,%22n%22:%22AQABAQABAQAB%22,%22e%22:%22AQAB%22%7D"),
		"DER in hex with 0x":          []byte("0x" + hex.EncodeToString(ecSPKI)),
		"DER in hex with 0X":          []byte("0X" + strings.ToUpper(hex.EncodeToString(ecSPKI))),
		"DER in hex with colons":      []byte(bytesAs(ecSPKI, "%02x", ":")),
		"DER in hex with blanks":      []byte(bytesAs(ecSPKI, "%02X", " ")),
		"DER as a list of bytes":      []byte("{" + bytesAs(ecSPKI, "0x%02x", ", ") + "}"),
		"DER as a string of escapes":  []byte(bytesAs(ecSPKI, `\x%02x`, "")),
		"EC point in hex with 0x":     []byte("0x" + hex.EncodeToString(point)),
		"PEM in hex with 0x":          []byte("0x" + hex.EncodeToString(inPEM)),
		"DER in base64 in quotes":     []byte(`"` + b64of(string(ecSPKI)) + `"`),
		"DER in base64 of a setting":  []byte("public_key=" + b64of(string(ecSPKI)) + ";"),
		"openssl ec -text":            []byte("Private-Key: (256 bit)\npriv:\n    49:48:39:40:fc:02:3e:b3:58:6a:64:a6:d4:2a:3a:"),
		"openssl pkey -text_pub":      []byte("Public-Key: (256 bit)\npub:\n    04:86:1c:1a:41:b9:27:eb:49:4f:d0:9d:0a:39:f1:"),
		"openssl pkey -text":          []byte("ED25519 Private-Key:\npriv:\n    58:61:06:14:ba:d2:9d:ec:4f:5a:b5:f8:8c:b6:2a:"),
		"openssl x509 -text":          []byte("Certificate:\n    Data:\n        Subject Public Key Info:\n            Public-Key: (2048 bit)"),
		"openssl rsa -modulus":        []byte("Modulus=B214599DBEBC824AA38CB788A16B78B0CEE9A3A528A4B89387DF3E6C5E"),
		"openssl asn1parse":           []byte("0:d=0  hl=4 l= 290 cons: SEQUENCE          \n    4:d=1  hl=2 l=  13 cons: SEQUENCE"),
		"openssl ec -text in base64":  []byte(b64of("Public-Key: (256 bit)\npub:\n    04:86:1c:1a:41:b9:27:eb:49:4f:d0:9d:0a:39:f1:")),
		"age":                         []byte("AGE-SECRET-KEY-1QQPQ8V0RM9VX9HHZEXK3N4YUXA6QGVQ4N5XGVYJ2K0MY5SX8KJ2QSXYZ0A"),
		"minisign":                    []byte("untrusted comment: minisign public key 0123456789ABCDEF\nRWTvzYmrZ0UjAQ"),
		"JWK of JavaScript":           []byte(`{'kty':'RSA','n':'AQABAQABAQABAQAB','e':'AQAB'}`),
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
	// Random bytes are accepted, in whatever encoding they are pasted.
	for n := range 2000 {
		if _, err := Generate(HS512); err != nil {
			t.Fatal(err)
		}
		size := 32 + n%64
		switch size { // as long as a compressed point, which half of all values are
		case 33, 49, 67:
			size++
		}
		secret := make([]byte, size)
		_, _ = rand.Read(secret)
		for form, text := range map[string]string{
			"base64": b64of(string(secret)), "base64 twice": b64of(b64of(string(secret))), "base64url": base64.RawURLEncoding.EncodeToString(secret), "hex": hex.EncodeToString(secret),
			"hex with 0x": "0x" + hex.EncodeToString(secret), "hex with colons": bytesAs(secret, "%02x", ":"), "quoted": `"` + b64of(string(secret)) + `"`,
			"setting": "SECRET=" + b64of(string(secret)), "data URL": "data:;base64," + b64of(string(secret)), "text": rand.Text() + rand.Text(), "percent": "%" + rand.Text() + "%41" + rand.Text(),
		} {
			if _, err := NewSecret("k", HS256, []byte(text)); err != nil {
				t.Fatalf("%s, %q: %v", form, text, err)
			}
		}
	}
}

func b64of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// bytesAs writes each byte in a format, with a separator.
func bytesAs(data []byte, format, between string) string {
	list := make([]string, len(data))
	for i, b := range data {
		list[i] = fmt.Sprintf(format, b)
	}
	return strings.Join(list, between)
}
