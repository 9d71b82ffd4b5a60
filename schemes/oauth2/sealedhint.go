package oauth2

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
)

// An id_token_hint that came by POST says who somebody is, and an address is kept in histories
// and logs. So it goes on sealed, and for a short time.

const (
	// sealedPrefix begins a sealed hint. No JWT does: its first part would not be JSON.
	sealedPrefix = "sealed."
	// hintTTL is how long a browser takes to follow a redirect, loginTTL a user to log in.
	hintTTL  = 2 * time.Minute
	loginTTL = 10 * time.Minute
)

// hintKey returns the AEAD of a key ring's member, or of this process if there is no ring.
func (s *Server) hintKey(id string) (cipher.AEAD, string, error) {
	key, ok := s.ownKey, true
	switch {
	case s.opts.Keys == nil:
		ok = id == ""
	case id == "":
		id, key = s.opts.Keys.Newest(keys.HintSeal)
	default:
		key, ok = s.opts.Keys.ByID(keys.HintSeal, id)
	}
	if !ok {
		return nil, "", errors.New("sealed by a key that is not in the ring")
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, "", err
	}
	aead, err := cipher.NewGCM(block)
	return aead, id, err
}

func (s *Server) hintData(id string) []byte {
	return []byte("id_token_hint\x00" + s.issuer + "\x00" + id)
}

// sealHint seals a hint, or one that is sealed anew.
func (s *Server) sealHint(text string, ttl time.Duration) (string, error) {
	if strings.HasPrefix(text, sealedPrefix) {
		var err error
		if text, err = s.openHint(text); err != nil {
			return "", errHint.with(err)
		}
	}
	aead, id, err := s.hintKey("")
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(s.opts.Rand, nonce); err != nil {
		return "", err
	}
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(s.now().Add(ttl).Unix())), text...)
	return sealedPrefix + id + "." + base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, s.hintData(id))), nil
}

// openHint returns the hint that was sealed. Its errors are reasons to refuse it.
func (s *Server) openHint(text string) (string, error) {
	id, sealed, ok := strings.Cut(strings.TrimPrefix(text, sealedPrefix), ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if !ok || err != nil {
		return "", errors.New("not of a sealed hint's shape")
	}
	aead, _, err := s.hintKey(id)
	if err != nil {
		return "", err
	}
	if len(raw) < aead.NonceSize() {
		return "", errors.New("not of a sealed hint's shape")
	}
	plain, err := aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], s.hintData(id))
	switch {
	case err != nil || len(plain) < 8:
		return "", errors.New("sealed by another key, or changed")
	case uint64(s.now().Unix()) >= binary.BigEndian.Uint64(plain):
		return "", errors.New("sealed too long ago")
	}
	return string(plain[8:]), nil
}

var errHint = refuse("invalid_request", "The id_token_hint is no ID token of this server.")
