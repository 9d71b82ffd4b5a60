package jose

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
)

// Header is the header of a token.
type Header struct {
	Algorithm Algorithm
	// KeyID is "kid"; "" if it is absent.
	KeyID string
	// Type is "typ" without "application/"; "" if it is absent.
	Type string
}

// Token is a decoded token. Do not trust its content until Verify returned nil.
type Token struct {
	Header Header
	Claims Claims

	signed    string
	signature []byte
	params    []member
}

// String returns only the algorithm and the key ID, because the text of a token is a credential.
func (t Token) String() string {
	return fmt.Sprintf("Token(%s, %q)", t.Header.Algorithm, t.Header.KeyID)
}

// GoString returns the same as String.
func (t Token) GoString() string { return t.String() }

// LogValue returns the same as String.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON encodes the text of String.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// Decode decodes a token strictly, without verifying its signature. Use the claims only to select
// the issuer, and then call [Token.Verify]. Every error is an [ErrInvalid].
func Decode(token string) (*Token, error) {
	return decodeToken(token, false)
}

// DecodePadded is [Decode] for issuers that pad the base64url of the three parts with "=", such as
// the load balancers of AWS. The signature covers the text with its padding. A part can also come
// without padding, so one token can have several texts: do not identify a token by its text.
func DecodePadded(token string) (*Token, error) {
	return decodeToken(token, true)
}

func decodeToken(token string, padded bool) (*Token, error) {
	t, payload, err := parse(token, padded, nil)
	if err != nil {
		return nil, err
	}
	if t.Claims, err = ParseClaims(payload); err != nil {
		return nil, err
	}
	return t, nil
}

// Param returns the value of a string parameter of the header, such as "signer" of AWS. It returns
// false if the parameter is absent or not a string. Like the claims, it is not trustworthy until
// the token is verified.
func (t *Token) Param(name string) (string, bool) {
	raw, _ := Claims{members: t.params}.get(name)
	return textOf(raw)
}

// Verify decodes a token and verifies its signature with a key of src. The token's "typ" must be
// one of the given types, compared without regard to case and without a leading "application/" (RFC
// 7515, section 4.1.9).
//
// It does not check the registered claims; call [Checks.Check] next. It returns an [ErrInvalid] if
// the token is rejected. Any other error comes from src and means that the token could not be
// checked.
func Verify(ctx context.Context, token string, src KeySource, types ...string) (*Token, error) {
	t, err := Decode(token)
	if err != nil {
		return nil, err
	}
	if err := t.Verify(ctx, src, types...); err != nil {
		return nil, err
	}
	return t, nil
}

// parse splits and decodes a compact JWS. It stores a key in the header in *key, and rejects it if
// key is nil.
func parse(token string, padded bool, key *[]byte) (*Token, []byte, error) {
	if len(token) > MaxToken {
		return nil, nil, invalid("token is longer than %d bytes", MaxToken)
	}
	head, rest, ok := strings.Cut(token, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || head == "" || strings.IndexByte(sig, '.') >= 0 {
		return nil, nil, invalid("not three parts")
	}
	// One allocation holds the token's text, header and signature. The payload has its own, because
	// verified claims are cached and must not keep the rest of the credential in memory.
	buf := make([]byte, len(token), len(token)+(len(head)+len(sig))*3/4+4)
	copy(buf, token)
	decode := decode
	if padded {
		decode = decodePadded
	}
	header, buf, err := decode(buf, buf[:len(head)])
	if err != nil {
		return nil, nil, err
	}
	payload, _, err := decode(make([]byte, 0, len(body)*3/4+2), buf[len(head)+1:len(head)+1+len(body)])
	if err != nil {
		return nil, nil, err
	}
	signature, _, err := decode(buf, buf[len(token)-len(sig):len(token)])
	if err != nil {
		return nil, nil, err
	}
	t := &Token{signed: token[:len(head)+1+len(body)], signature: signature}
	if t.Header, t.params, err = parseHeader(header, key); err != nil {
		return nil, nil, err
	}
	if sig == "" { // after the header, so that the error of "alg": "none" names it
		return nil, nil, invalid("no signature")
	}
	return t, payload, nil
}

// canonical is base64url with exactly one encoding for each value: no padding, and the unused bits
// of the last character are zero.
var canonical = base64.RawURLEncoding.Strict()

func decode(buf, part []byte) (out, rest []byte, err error) {
	for _, c := range part { // the decoder skips line breaks
		if c < '-' {
			return nil, nil, invalid("malformed base64url")
		}
	}
	start := len(buf)
	buf, err = canonical.AppendDecode(buf, part)
	if err != nil {
		return nil, nil, invalid("malformed base64url")
	}
	return buf[start:len(buf):len(buf)], buf, nil
}

// decodePadded is decode for a part that may have the padding of RFC 4648, section 3.2. The padding
// must be complete.
func decodePadded(buf, part []byte) (out, rest []byte, err error) {
	text := bytes.TrimRight(part, "=")
	if n := len(part) - len(text); n > 2 || n > 0 && len(part)%4 != 0 {
		return nil, nil, invalid("malformed base64url")
	}
	return decode(buf, text)
}

// headerNames are the header names that are rejected in another case.
var headerNames = []string{
	"alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit", "b64", "zip", "enc", "apu", "apv", "epk", "p2s", "p2c", "iv", "tag", "url", "nonce",
}

// parseHeader parses a header. Only DecodeEmbedded uses a key from a header, and no function
// fetches one from an address in it (RFC 8725, section 3.10).
func parseHeader(data []byte, key *[]byte) (h Header, members []member, err error) {
	members, err = scanObject(data, maxHeader)
	if err != nil {
		return Header{}, nil, err
	}
	for _, m := range members {
		text, isText := textOf(m.value)
		switch string(m.name) {
		case "alg":
			if !isText {
				return Header{}, nil, invalid("alg is not a string")
			}
			h.Algorithm = Algorithm(text)
		case "kid":
			if !isText || !isIdentifier(text) {
				return Header{}, nil, invalid("kid is not an identifier (1 to 255 bytes, no control characters)")
			}
			h.KeyID = text
		case "typ":
			if !isText || !isType(text) {
				return Header{}, nil, invalid("typ is not a media type")
			}
			h.Type = mediaType(text)
		case "jwk":
			if key == nil {
				return Header{}, nil, invalid("jwk in the header is not allowed")
			}
			*key = m.value
		case "cty":
			if !isText || strings.EqualFold(mediaType(text), "JWT") {
				return Header{}, nil, invalid("nested tokens are not supported")
			}
		case "crit", "b64", "zip", "enc", "jku", "x5u", "x5c":
			return Header{}, nil, invalid("unsupported header %s", m.name)
		default:
			if otherCase(m.name, headerNames) {
				return Header{}, nil, invalid("registered header name in another case")
			}
		}
	}
	if !h.Algorithm.Valid() {
		return Header{}, nil, invalid("unsupported algorithm")
	}
	return h, members, nil
}

// isType reports whether typ is printable ASCII without spaces. Other text could equal an ASCII
// type without regard to case, because the Kelvin sign folds to "k".
func isType(typ string) bool {
	for i := range len(typ) {
		if typ[i] <= ' ' || typ[i] >= 0x7f {
			return false
		}
	}
	return typ != ""
}

func mediaType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) && strings.IndexByte(typ[len(prefix):], '/') < 0 {
		return typ[len(prefix):]
	}
	return typ
}
