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

// An id_token_hint that is sent by POST identifies a person, and URLs are stored in histories and
// logs. So the hint is encrypted before it is put into a URL, and is valid for a short time.

const (
	// sealedPrefix begins an encrypted hint. No JWT begins with it, because its first part would
	// not be JSON.
	sealedPrefix = "sealed."
	// HintRedirect is how long a browser has to follow a redirect with a hint. HintLogin is how
	// long a user has to log in.
	HintRedirect = 2 * time.Minute
	HintLogin    = 10 * time.Minute

	// maxHint is the maximum length of a hint that is encrypted. A longer one does not fit into a
	// URL of 8 KiB.
	maxHint = 6 << 10
)

// hintKey returns the AEAD of a key of the key ring, or of this process if there is no key ring.
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
		return nil, "", errors.New("encrypted with a key that is not in the key ring")
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

// SealHint encrypts an "id_token_hint", or extends the validity of an encrypted hint. The error is
// an *oauth2.Error if an encrypted hint is invalid, or if the hint is longer than 6 KiB.
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
	sealed = aead.Seal(sealed[:size], nonce, sealed[size:], s.hintData(id)) // in place, because anyone can send a hint
	return sealedPrefix + id + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// IsSealedHint reports whether a hint is encrypted.
func IsSealedHint(text string) bool { return strings.HasPrefix(text, sealedPrefix) }

// OpenHint returns the hint as the client sent it, and decrypts it if necessary. The error is an
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

// openHint decrypts a hint. Its errors are reasons to reject the hint.
func (s *Server) openHint(text string) (string, error) {
	id, sealed, ok := strings.Cut(strings.TrimPrefix(text, sealedPrefix), ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if !ok || err != nil {
		return "", errors.New("malformed encrypted hint")
	}
	aead, _, err := s.hintKey(id)
	if err != nil {
		return "", err
	}
	if len(raw) < aead.NonceSize() {
		return "", errors.New("malformed encrypted hint")
	}
	plain, err := aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], s.hintData(id))
	switch {
	case err != nil || len(plain) < 8:
		return "", errors.New("encrypted with another key, or modified")
	case uint64(s.now().Unix()) >= binary.BigEndian.Uint64(plain):
		return "", errors.New("encrypted hint expired")
	}
	return string(plain[8:]), nil
}

var errLongHint = oauth2.NewError("invalid_request", "The id_token_hint is too long.")

var errHint = oauth2.NewError("invalid_request", "The id_token_hint is not an ID token of this server.")
