package jose

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Header is what the header of a token says.
type Header struct {
	Algorithm Algorithm
	// KeyID is "kid", or "".
	KeyID string
	// Type is "typ", without "application/", or "".
	Type string
}

// Token is a decoded token. What it says is worth nothing before Verify returned
// nil.
type Token struct {
	Header Header
	Claims Claims

	signed    string
	signature []byte
}

// String says the algorithm and the key ID alone: a token's text is a credential.
func (t Token) String() string {
	return fmt.Sprintf("Token(%s, %q)", t.Header.Algorithm, t.Header.KeyID)
}

// GoString is String.
func (t Token) GoString() string { return t.String() }

// LogValue is String.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON is String.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// Decode takes a token apart, strictly, and verifies nothing: its claims tell which
// issuer to ask, no more. The error is an ErrInvalid.
func Decode(token string) (*Token, error) {
	t, payload, err := parse(token, nil)
	if err != nil {
		return nil, err
	}
	if t.Claims, err = ParseClaims(payload); err != nil {
		return nil, err
	}
	return t, nil
}

// Verify decodes a token and verifies its signature with a key of src. Its "typ"
// must be one of types, compared without regard to case; "application/" before it
// counts as not there (RFC 7515 section 4.1.9). The registered claims are left to
// Checks. An error that is no ErrInvalid is src's.
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

// Verify is the second half of the function Verify, for a token that was decoded to
// see which issuer to ask.
func (t *Token) Verify(ctx context.Context, src KeySource, types ...string) error {
	return t.verifyTyped(ctx, src, false, types)
}

// VerifyUntyped is Verify, and takes a token without "typ" too: for what has none by its
// own RFC, such as the assertions of RFC 7523. What else the same keys sign must not be
// taken for it.
func (t *Token) VerifyUntyped(ctx context.Context, src KeySource, types ...string) error {
	return t.verifyTyped(ctx, src, true, types)
}

func (t *Token) verifyTyped(ctx context.Context, src KeySource, untyped bool, types []string) error {
	ok := untyped && t.Header.Type == ""
	for _, want := range types {
		ok = ok || want != "" && strings.EqualFold(t.Header.Type, want)
	}
	if !ok {
		return invalid("another type")
	}
	return t.verify(ctx, src)
}

func (t *Token) verify(ctx context.Context, src KeySource) error {
	if src == nil {
		return errors.New("jose: no source of keys")
	}
	candidates, err := src.Keys(ctx, t.Header.KeyID, t.Header.Algorithm)
	if err != nil {
		return err
	}
	if len(candidates) == 0 || len(candidates) > 1 && t.Header.KeyID == "" {
		return invalid("no key for it")
	}
	for _, k := range candidates {
		// A source is not trusted to have looked.
		if k != nil && k.alg == t.Header.Algorithm && (k.id == t.Header.KeyID || t.Header.KeyID == "") && k.verify(t.signed, t.signature) {
			return nil
		}
	}
	return invalid("wrong signature")
}

// parse takes a compact JWS apart. A key in the header goes to key, and is refused where that
// is nil.
func parse(token string, key *[]byte) (*Token, []byte, error) {
	if len(token) > MaxToken {
		return nil, nil, invalid("longer than %d bytes", MaxToken)
	}
	head, rest, ok := strings.Cut(token, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || head == "" || sig == "" || strings.IndexByte(sig, '.') >= 0 {
		return nil, nil, invalid("not three parts")
	}
	// One allocation holds the token's text, its header and its signature. The payload has
	// its own: verified claims are kept, and the rest of a credential is not to be kept
	// with them.
	buf := make([]byte, len(token), len(token)+(len(head)+len(sig))*3/4+4)
	copy(buf, token)
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
	if t.Header, err = parseHeader(header, key); err != nil {
		return nil, nil, err
	}
	return t, payload, nil
}

// canonical is base64url with one spelling for each value: no padding, and the spare
// bits of the last character are zero.
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

// headerNames are those whose other spellings are refused.
var headerNames = []string{
	"alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit", "b64", "zip", "enc", "apu", "apv", "epk", "p2s", "p2c", "iv", "tag", "url", "nonce",
}

// parseHeader reads a header. Keys are never taken from it, nor fetched from where
// it points (RFC 8725 section 3.10), but by VerifyEmbedded.
func parseHeader(data []byte, key *[]byte) (h Header, err error) {
	members, err := scanObject(data, maxHeader)
	if err != nil {
		return Header{}, err
	}
	for _, m := range members {
		text, isText := textOf(m.value)
		switch string(m.name) {
		case "alg":
			if !isText {
				return Header{}, invalid("alg is no string")
			}
			h.Algorithm = Algorithm(text)
		case "kid":
			if !isText || !isIdentifier(text) {
				return Header{}, invalid("kid is no identifier")
			}
			h.KeyID = text
		case "typ":
			if !isText || !isType(text) {
				return Header{}, invalid("typ is no media type")
			}
			h.Type = mediaType(text)
		case "jwk":
			if key == nil {
				return Header{}, invalid("a key in the header")
			}
			*key = m.value
		case "cty":
			if !isText || strings.EqualFold(mediaType(text), "JWT") {
				return Header{}, invalid("a token in a token")
			}
		case "crit", "b64", "zip", "enc", "jku", "x5u", "x5c":
			return Header{}, invalid("a header that is not supported: %s", m.name)
		default:
			if otherCase(m.name, headerNames) {
				return Header{}, invalid("a registered header name in another case")
			}
		}
	}
	if !h.Algorithm.Valid() {
		return Header{}, invalid("no supported algorithm")
	}
	return h, nil
}

// isType reports text that a media type may be: with any other, a comparison without
// regard to case would take a K that is another letter.
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
