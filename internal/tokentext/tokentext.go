// Package tokentext is the grammar of opaque tokens on the wire (RULES C9):
//
//	<prefix>_<43 base64url><6 base62>
//
// The prefix names scheme and kind, the 43 characters carry 32 bytes, the last
// six are the CRC-32 (IEEE) of all before them, so that a typing error is told
// from a wrong token without a query, and secret scanners find tokens in texts.
// The checksum is no security check.
package tokentext

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"unsafe"
)

const (
	// Size is the number of bytes a token carries.
	Size = 32

	bodyLen = 43
	// maxPrefix is the longest prefix.
	maxPrefix = 16
	checkLen  = 6
	digits    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// CheckPrefix returns an error unless prefix is [a-z][a-z0-9]{1,15}.
func CheckPrefix(prefix string) error {
	ok := len(prefix) >= 2 && len(prefix) <= maxPrefix && 'a' <= prefix[0] && prefix[0] <= 'z'
	for i := range len(prefix) {
		c := prefix[i]
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9')
	}
	if !ok {
		return fmt.Errorf("token prefix %q: want a small letter and 1 to 15 small letters or digits", prefix)
	}
	return nil
}

// Encode returns the token text of body under prefix.
func Encode(prefix string, body [Size]byte) string {
	b := make([]byte, 0, len(prefix)+1+bodyLen+checkLen)
	b = append(append(b, prefix...), '_')
	b = base64.RawURLEncoding.AppendEncode(b, body[:])
	check := checksum(b)
	return string(append(b, check[:]...))
}

// Fits reports whether text has the prefix and the length of a token: all that a text needs
// to be worth a digest.
func Fits(prefix, text string) bool {
	return len(text) == len(prefix)+1+bodyLen+checkLen && HasPrefix(prefix, text)
}

// Valid reports whether text is a token under prefix: split by fixed length from
// the end, its body re-encodes to itself, its checksum fits.
func Valid(prefix, text string) bool {
	if !Fits(prefix, text) {
		return false
	}
	n := len(text) - checkLen
	var all byte
	for _, c := range []byte(text[n-bodyLen : n]) { // without a branch
		all |= sextet[c] - 1 // 255 where c is none, else below 64
	}
	if all > 63 || (sextet[text[n-1]]-1)&3 != 0 { // 43 characters have two bits more than 32 bytes
		return false
	}
	// The CRC's implementation is chosen at run time, so that a copy would be on the heap.
	check := checksum(unsafe.Slice(unsafe.StringData(text), n))
	return string(check[:]) == text[n:]
}

// Shaped reports whether text is a token under whatever prefix.
func Shaped(text string) bool {
	n := len(text) - checkLen - bodyLen - 1
	return n > 0 && CheckPrefix(text[:n]) == nil && Valid(text[:n], text)
}

// sextet is 1 more than the value of each base64url character, and 0 for others.
var sextet = func() (t [256]byte) {
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = byte(i + 1)
	}
	return t
}()

// HasPrefix reports whether text begins with prefix and "_".
func HasPrefix(prefix, text string) bool {
	return len(text) > len(prefix) && text[:len(prefix)] == prefix && text[len(prefix)] == '_'
}

// Pattern returns a regular expression for secret scanners (RE2 syntax).
func Pattern(prefix string) string {
	return `\b` + prefix + `_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}\b`
}

func checksum(b []byte) (out [checkLen]byte) {
	n := crc32.ChecksumIEEE(b)
	for i := checkLen - 1; i >= 0; i-- {
		out[i] = digits[n%62]
		n /= 62
	}
	return out
}
