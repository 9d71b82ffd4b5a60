package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// userLetters are the letters of user codes. They contain no vowels, so that no words occur,
	// and no letter that looks like another one or like a digit (RFC 8628, section 6.1). Eight
	// letters have 34 bits.
	userLetters  = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeSize = 8

	// maxTries and maxSourceTries are the maximum numbers of wrong codes per tryWindow, of a user
	// and of a client address. The limit of an address is higher, so that one user cannot prevent
	// the others of an office or a mobile provider from connecting devices.
	maxTries, maxSourceTries = 10, 100
	tryWindow                = 15 * time.Minute
)

// createDevice stores a grant under a user code that no other grant has.
func (s *Server) createDevice(ctx context.Context, g storage.DeviceGrant) (code string, err error) {
	for range 5 {
		if code, err = s.userCode(); err != nil {
			return "", err
		}
		_, key := s.opts.Keys.Newest(keys.ShortCodes)
		g.UserCode = s.userMAC(key, code)
		if err = s.store.CreateDeviceGrant(ctx, g); !errors.Is(err, storage.ErrConflict) {
			break
		}
	}
	return code, err
}

// userCode returns a new user code. 2^64 is not a multiple of 20^8, but this favors no code by more
// than one in 2^29.
func (s *Server) userCode() (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint64(b[:])
	code := make([]byte, userCodeSize)
	for i := range code {
		code[i] = userLetters[n%uint64(len(userLetters))]
		n /= uint64(len(userLetters))
	}
	return string(code), nil
}

// shownCode returns a user code as it is displayed: XXXX-XXXX.
func shownCode(code string) string { return code[:userCodeSize/2] + "-" + code[userCodeSize/2:] }

// lookAlikes maps characters that are not in userLetters to the letters that were most likely
// meant.
var lookAlikes = strings.NewReplacer("0", "Q", "O", "Q", "1", "L", "I", "L", "2", "Z", "5", "S", "6", "G", "8", "B", "U", "V")

// readCode reads a user code as a user entered it: in lower case, with or without dash and spaces,
// and with look-alike characters. It returns false for any other text.
func readCode(typed string) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	code := lookAlikes.Replace(strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || unicode.IsPunct(c) {
			return -1
		}
		return unicode.ToUpper(c)
	}, typed))
	return code, len(code) == userCodeSize && strings.Trim(code, userLetters) == ""
}

// userMAC returns the MAC under which a user code is stored. It is bound to this issuer.
func (s *Server) userMAC(key keys.Key, code string) storage.MAC {
	return mac(key, "device", s.issuer, code)
}

// mac returns an HMAC of texts, each preceded by its length.
func mac(key keys.Key, texts ...string) (m storage.MAC) {
	h := hmac.New(sha256.New, key[:])
	for _, t := range texts {
		_, _ = h.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(t))), t...))
	}
	h.Sum(m[:0])
	return m
}
