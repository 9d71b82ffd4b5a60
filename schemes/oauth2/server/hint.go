package server

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
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// An id_token_hint that comes by POST identifies a person, and addresses get into histories and
// logs. So it is encrypted before it gets into one, and is valid for a short time.

const (
	// sealedPrefix begins a sealed hint. No JWT begins with it: its first part would not be JSON.
	sealedPrefix = "sealed."
	// HintRedirect is how long a browser has to follow a redirect with a hint, HintLogin how long
	// a user has to log in.
	HintRedirect = 2 * time.Minute
	HintLogin    = 10 * time.Minute

	// maxHint is the longest hint that is encrypted: a longer one does not fit into an address of 8 KiB.
	maxHint = 6 << 10
)

// hintKey returns the AEAD of a key of the ring, or of this process if there is no ring.
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

// SealHint encrypts an "id_token_hint", or extends one that is encrypted. The error is an
// *oauth2.Error if the hint is an encrypted one that is not valid, or one of more than 6 KiB.
func (s *Server) SealHint(text string, ttl time.Duration) (string, error) {
	if IsSealedHint(text) {
		var err error
		if text, err = s.openHint(text); err != nil {
			return "", errHint.WithCause(err)
		}
	}
	if len(text) > maxHint {
		return "", errLongHint
	}
	aead, id, err := s.hintKey("")
	if err != nil {
		return "", err
	}
	size := aead.NonceSize()
	sealed := make([]byte, size, size+8+len(text)+aead.Overhead())
	nonce := sealed[:size]
	if _, err := io.ReadFull(s.opts.Rand, nonce); err != nil {
		return "", err
	}
	sealed = append(binary.BigEndian.AppendUint64(sealed, uint64(s.now().Add(ttl).Unix())), text...)
	sealed = aead.Seal(sealed[:size], nonce, sealed[size:], s.hintData(id)) // anyone can send a hint: one copy
	return sealedPrefix + id + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// IsSealedHint reports whether a hint is an encrypted one.
func IsSealedHint(text string) bool { return strings.HasPrefix(text, sealedPrefix) }

// OpenHint returns the hint as the client sent it, decrypted if it is encrypted. The error is an
// *oauth2.Error.
func (s *Server) OpenHint(text string) (string, error) {
	if !IsSealedHint(text) {
		return text, nil
	}
	opened, err := s.openHint(text)
	if err != nil {
		return "", errHint.WithCause(err)
	}
	return opened, nil
}

// openHint decrypts a hint. Its errors are reasons to reject it.
func (s *Server) openHint(text string) (string, error) {
	id, sealed, ok := strings.Cut(strings.TrimPrefix(text, sealedPrefix), ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if !ok || err != nil {
		return "", errors.New("not in the format of a sealed hint")
	}
	aead, _, err := s.hintKey(id)
	if err != nil {
		return "", err
	}
	if len(raw) < aead.NonceSize() {
		return "", errors.New("not in the format of a sealed hint")
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

var errLongHint = oauth2.NewError("invalid_request", "The id_token_hint is too long.")

var errHint = oauth2.NewError("invalid_request", "The id_token_hint is no ID token of this server.")
