package jose

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"unicode/utf16"
)

// keyFile returns what kind of key file or public key data is, or "" if it looks like random
// bytes. A verifier that takes the text of a public key for an HMAC secret accepts tokens that
// anyone can sign (algorithm confusion), so NewSecret refuses each form that such texts have.
//
// The raw 32 bytes of an Ed25519 key and a bare RSA modulus cannot be told from random bytes.
func keyFile(data []byte) string {
	if form := keyText(data); form != "" {
		return form
	}
	// The same forms, copied as base64, as hex, or in UTF-16.
	for _, decode := range []func([]byte) []byte{unBase64, unHex, unUTF16} {
		if form := keyText(decode(data)); form != "" {
			return form + ", encoded"
		}
	}
	return ""
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
	} {
		if bytes.HasPrefix(text, []byte(form.begins)) {
			return form.name
		}
	}
	// With something before it: options, a host's name, a comment, an XML declaration.
	for _, form := range []struct{ holds, name string }{
		{"-----BEGIN ", "a PEM file"},
		{"ssh-rsa AAAA", "an SSH key"},
		{"ssh-ed25519 AAAA", "an SSH key"},
		{"ecdsa-sha2-nistp", "an SSH key"},
		{"<RSAKeyValue", "an XML key"},
		{`"kty"`, "a JWK"},
		{`\"kty\"`, "a JWK"},
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
	case isPoint(data):
		return "a point on an elliptic curve"
	}
	return ""
}

// isDER reports whether data is one ASN.1 SEQUENCE and nothing after it, as every certificate
// and key in DER is.
func isDER(data []byte) bool {
	var whole asn1.RawValue
	rest, err := asn1.Unmarshal(data, &whole)
	return err == nil && len(rest) == 0 && whole.Class == asn1.ClassUniversal && whole.Tag == asn1.TagSequence && whole.IsCompound
}

// isPoint reports whether data is a public key on a NIST curve, compressed or not.
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

func unBase64(data []byte) []byte {
	text := bytes.TrimRight(bytes.Join(bytes.Fields(data), nil), "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if out, err := encoding.AppendDecode(nil, text); err == nil {
			return out
		}
	}
	return nil
}

func unHex(data []byte) []byte {
	out, err := hex.AppendDecode(nil, bytes.ReplaceAll(bytes.TrimSpace(data), []byte(":"), nil))
	if err != nil {
		return nil
	}
	return out
}

// unUTF16 decodes a file that an editor on Windows saved.
func unUTF16(data []byte) []byte {
	if len(data) < 2 || len(data)%2 != 0 {
		return nil
	}
	big := data[0] == 0xfe && data[1] == 0xff
	if !big && (data[0] != 0xff || data[1] != 0xfe) {
		return nil
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i < len(data); i += 2 {
		if big {
			units = append(units, uint16(data[i])<<8|uint16(data[i+1]))
		} else {
			units = append(units, uint16(data[i+1])<<8|uint16(data[i]))
		}
	}
	return []byte(string(utf16.Decode(units)))
}
