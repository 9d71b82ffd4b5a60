package credential

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unsafe"

	"github.com/vestibule-auth/vestibule/authn"
)

const (
	// Size is the number of random bytes in a token.
	Size = 32

	bodyLen = 43
	// maxPrefix is the largest length of a prefix.
	maxPrefix = 16
	checkLen  = 6
	digits    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Format is the format of a scheme's tokens:
//
//	<prefix>_<43 base64url><6 base62>
//
// The prefix identifies the scheme. The 43 characters encode [Size] bytes. The last six are the
// CRC-32 (IEEE) of everything before them. The checksum detects typing errors without a query, and
// lets secret scanners recognize tokens. It is not a security check, because anyone can compute it.
//
// Two schemes with the same keyword of Authorization need different prefixes. The zero Format
// matches no text. A Format is safe for concurrent use.
type Format struct{ prefix string }

// NewFormat returns the format with that prefix. It returns an error unless prefix has 2 to 16
// characters: a lower-case letter, followed by lower-case letters and digits.
func NewFormat(prefix string) (Format, error) {
	if err := CheckPrefix(prefix); err != nil {
		return Format{}, err
	}
	return Format{prefix}, nil
}

// MustFormat is [NewFormat] for a prefix that is a constant of the program. It panics if the prefix
// is invalid.
func MustFormat(prefix string) Format {
	f, err := NewFormat(prefix)
	if err != nil {
		panic(err)
	}
	return f
}

// CheckPrefix returns an error if prefix is not valid for a [Format].
func CheckPrefix(prefix string) error {
	ok := len(prefix) >= 2 && len(prefix) <= maxPrefix && 'a' <= prefix[0] && prefix[0] <= 'z'
	for i := range len(prefix) {
		c := prefix[i]
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9')
	}
	if !ok {
		return fmt.Errorf("credential: prefix %q is invalid (a lower-case letter, then 1 to 15 lower-case letters or digits)", prefix)
	}
	return nil
}

// Prefix returns the prefix without the "_" that follows it.
func (f Format) Prefix() string { return f.prefix }

// New returns a new token with [Size] bytes from random. Pass crypto/rand.Reader in production. It
// returns an error only if random does.
func (f Format) New(random io.Reader) (string, error) {
	var body [Size]byte
	if _, err := io.ReadFull(random, body[:]); err != nil {
		return "", fmt.Errorf("credential: New: read random bytes: %w", err)
	}
	return f.Encode(body), nil
}

// Encode returns the token for body.
func (f Format) Encode(body [Size]byte) string {
	b := make([]byte, 0, len(f.prefix)+1+bodyLen+checkLen)
	b = append(append(b, f.prefix...), '_')
	b = base64.RawURLEncoding.AppendEncode(b, body[:])
	check := checksum(b)
	return string(append(b, check[:]...))
}

// Fits reports whether text has the prefix and the length of a token. Use it as a fast check before
// you compute a digest. Call [Format.Valid] before you query a store.
func (f Format) Fits(text string) bool {
	return len(text) == len(f.prefix)+1+bodyLen+checkLen && f.HasPrefix(text)
}

// Valid reports whether text is a token of this format. Each token has exactly one text.
func (f Format) Valid(text string) bool {
	if !f.Fits(text) {
		return false
	}
	n := len(text) - checkLen
	var all byte
	for _, c := range []byte(text[n-bodyLen : n]) { // without branches
		all |= sextet[c] - 1 // 255 for a character outside base64url, otherwise below 64
	}
	if all > 63 || (sextet[text[n-1]]-1)&3 != 0 { // 43 characters have two more bits than 32 bytes
		return false
	}
	// The CRC implementation is chosen at run time, so a copy would be allocated on the heap.
	check := checksum(unsafe.Slice(unsafe.StringData(text), n))
	return string(check[:]) == text[n:]
}

// HasPrefix reports whether text begins with the prefix and "_". If such a text is not Valid, it is
// a malformed token of this scheme, and not a token of another scheme.
func (f Format) HasPrefix(text string) bool {
	return f.prefix != "" && len(text) > len(f.prefix) && text[:len(f.prefix)] == f.prefix && text[len(f.prefix)] == '_'
}

// Pattern returns a regular expression (RE2) that matches the tokens in source code, logs and other
// texts. Use it in your secret scanner.
func (f Format) Pattern() string {
	return `\b` + f.prefix + `_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}\b`
}

// Claim returns the [authn.CredentialFormat] of the tokens with a keyword of Authorization. Return
// it from the method Formats of an authenticator.
func (f Format) Claim(keyword string) authn.CredentialFormat {
	return authn.CredentialFormat{Keyword: keyword, Format: f.prefix + "_", Prefix: f.prefix + "_"}
}

// IsToken reports whether text is a valid token with any prefix. Use it to distinguish the tokens
// of this module from the tokens of other issuers.
func IsToken(text string) bool {
	n := len(text) - checkLen - bodyLen - 1
	return n > 0 && CheckPrefix(text[:n]) == nil && Format{text[:n]}.Valid(text)
}

// shipped are the default prefixes of this module's tokens, with spaces around each.
const shipped = " vac vat vco vcs vdc vkn vlo vor vpa vpl vpr vrg vri vrt vsr vss vst "

// HasShippedPrefix reports whether text begins with a default prefix of this module's schemes and
// "_". The rest of the text may be malformed, because a token with a wrong character is still a
// secret. Use it together with [IsToken] to avoid sending tokens of this module to other parties.
func HasShippedPrefix(text string) bool {
	return len(text) > 3 && text[3] == '_' && strings.Contains(shipped, " "+text[:3]+" ")
}

// sextet is the value of each base64url character plus 1, and 0 for all other characters.
var sextet = func() (t [256]byte) {
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = byte(i + 1)
	}
	return t
}()

func checksum(b []byte) (out [checkLen]byte) {
	n := crc32.ChecksumIEEE(b)
	for i := checkLen - 1; i >= 0; i-- {
		out[i] = digits[n%62]
		n /= 62
	}
	return out
}
