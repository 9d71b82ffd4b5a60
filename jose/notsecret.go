package jose

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/json"
)

// keyFile returns the kind of key file or public key that data looks like, or "" if it looks like
// random bytes. A verifier that uses the text of a public key as an HMAC secret accepts tokens that
// anyone can sign (algorithm confusion). NewSecret therefore refuses every common form of such a
// text, also in nested encodings (see unwrap).
//
// The 32 raw bytes of an Ed25519 key and a bare RSA modulus cannot be told apart from random bytes.
func keyFile(data []byte) string {
	const depth = 4 // enough for base64 of a data: URL of base64 of a PEM file
	form, encoded := keyIn(data, depth)
	if form != "" && encoded {
		form += ", encoded"
	}
	return form
}

func keyIn(data []byte, depth int) (form string, encoded bool) {
	if form := keyText(data); form != "" {
		return form, false
	}
	if isPoint(data) {
		return "a point on an elliptic curve", false
	}
	if depth == 0 {
		return "", false
	}
	for _, inner := range unwrap(data) {
		if form, _ := keyIn(inner, depth-1); form != "" {
			return form, true
		}
	}
	return keyWithin(data), true
}

func keyText(data []byte) string {
	text := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\ufeff")), " \t\r\n")
	for _, form := range []struct{ begins, name string }{
		{"-----BEGIN", "a PEM file"},
		{"---- BEGIN SSH2", "an SSH key"},
		{"ssh-", "an SSH key"},
		{"ecdsa-sha2-", "an SSH key"},
		{"sk-ssh-", "an SSH key"},
		{"sk-ecdsa-", "an SSH key"},
		{"PuTTY-User-Key-File", "a PuTTY key file"},
		{"<RSAKeyValue", "an XML key"},
		{"<ECKeyValue", "an XML key"},
		{"\x00\x00\x00\x07ssh-rsa", "an SSH key"},
		{"\x00\x00\x00\x0bssh-ed25519", "an SSH key"},
		{"\x00\x00\x00\x13ecdsa-sha2-nistp", "an SSH key"},
		{"openssh-key-v1\x00", "an SSH key"},
		{"Modulus=", "the output of openssl for a key"},
		{"AGE-SECRET-KEY-1", "an age key"},
		{"untrusted comment:", "a minisign key"},
	} {
		if bytes.HasPrefix(text, []byte(form.begins)) {
			return form.name
		}
	}
	// With text before it: options, a host name, a comment, an XML declaration.
	for _, form := range []struct{ holds, name string }{
		{"-----BEGIN ", "a PEM file"},
		{"ssh-rsa AAAA", "an SSH key"},
		{"ssh-ed25519 AAAA", "an SSH key"},
		{"ecdsa-sha2-nistp", "an SSH key"},
		{"<RSAKeyValue", "an XML key"},
		{`"kty"`, "a JWK"},
		{`\"kty\"`, "a JWK"},
		{`'kty'`, "a JWK"},
		{"Public-Key:", "the output of openssl for a key"},
		{"Private-Key:", "the output of openssl for a key"},
		{" cons: SEQUENCE", "the output of openssl for a key"},
	} {
		if bytes.Contains(data, []byte(form.holds)) {
			return form.name
		}
	}
	switch {
	case len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text):
		return "JSON, such as a JWK or a JWK set"
	case isDER(data):
		return "a DER file"
	}
	return ""
}

// isDER reports whether data is exactly one ASN.1 SEQUENCE, as every certificate and key in DER is.
// One of 65,536 random secrets begins like a SEQUENCE of its length, so isDER also parses the
// elements of the SEQUENCE: the first must be a SEQUENCE, an INTEGER or an OBJECT IDENTIFIER, and
// all must be complete.
func isDER(data []byte) bool {
	var whole, part asn1.RawValue
	rest, err := asn1.Unmarshal(data, &whole)
	if err != nil || len(rest) > 0 || whole.Class != asn1.ClassUniversal || whole.Tag != asn1.TagSequence || !whole.IsCompound {
		return false
	}
	for first, content := true, whole.Bytes; len(content) > 0; first = false {
		if content, err = asn1.Unmarshal(content, &part); err != nil {
			return false
		}
		if first && (part.Class != asn1.ClassUniversal || part.Tag != asn1.TagSequence && part.Tag != asn1.TagInteger && part.Tag != asn1.TagOID) {
			return false
		}
	}
	return len(whole.Bytes) > 0
}

// isPoint reports whether data is a public key on a NIST curve, compressed or uncompressed.
func isPoint(data []byte) bool {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if x, _ := elliptic.UnmarshalCompressed(curve, data); x != nil {
			return true
		}
	}
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521()} {
		if _, err := curve.NewPublicKey(data); err == nil {
			return true
		}
	}
	return false
}
