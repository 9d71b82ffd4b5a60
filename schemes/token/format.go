package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/keys"
)

// Format is the format of token texts.
type Format uint8

const (
	// Prefixed is the format of credential.Format: a prefix, 256 bits and a checksum.
	Prefixed Format = iota
	// Hex40 is 40 lower-case hexadecimal digits, as in Django REST Framework, for clients that
	// expect it.
	Hex40
)

// format encodes and recognizes tokens of a Format.
type format interface {
	credential.Shape
	Encode(sum [sha256.Size]byte) string
}

func newFormat(f Format, prefix string) (format, error) {
	prefixed, err := credential.NewFormat(prefix)
	switch {
	case err != nil:
		return nil, err
	case f == Prefixed:
		return prefixed, nil
	case f == Hex40:
		return hex40{}, nil
	}
	return nil, fmt.Errorf("unknown Format %d (Prefixed or Hex40)", f)
}

type hex40 struct{}

func (hex40) Fits(text string) bool { return len(text) == 40 }

func (hex40) Valid(text string) bool {
	if len(text) != 40 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (hex40) HasPrefix(string) bool { return false }

func (hex40) Claim(keyword string) authn.CredentialFormat {
	return authn.CredentialFormat{Keyword: keyword, Format: "hex40"}
}

func (hex40) Encode(sum [sha256.Size]byte) string { return hex.EncodeToString(sum[:20]) }

// derive returns the text of a token: HMAC-SHA-256 of subject and salt with a key of the ring. Its
// input MUST NOT change, because every issued token would become invalid.
func (s *Scheme) derive(k keys.Key, subject string, salt []byte) string {
	const label = "vestibule static token v1"
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte(label))
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(subject))))
	mac.Write([]byte(subject))
	mac.Write(salt)
	return s.format.Encode([sha256.Size]byte(mac.Sum(nil)))
}
