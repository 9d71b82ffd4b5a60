package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
)

const (
	// nonceStep is how long a nonce is the newest one. nonceSteps is the number of older nonces
	// that are accepted.
	nonceStep  = time.Minute
	nonceSteps = 4
	nonceMAC   = 16
)

// SetNonce adds the newest nonce to a response (RFC 9449, section 8.2). Without Options.Nonces, or
// on a nil Verifier, it does nothing.
func (v *Verifier) SetNonce(h http.Header) {
	if v != nil && v.nonces != nil {
		h.Set("DPoP-Nonce", v.nonce())
	}
}

// nonce returns the newest nonce: its minute, and a MAC of the minute and the issuer.
func (v *Verifier) nonce() string {
	_, k := v.nonces.Newest(keys.DPoPNonce)
	return base64.RawURLEncoding.EncodeToString(v.nonceAt(k, v.now().Unix()/int64(nonceStep/time.Second)))
}

func (v *Verifier) nonceAt(k keys.Key, minute int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(minute))
	m := hmac.New(sha256.New, k[:])
	m.Write(b)
	m.Write([]byte(v.issuer))
	return append(b, m.Sum(nil)[:nonceMAC]...)
}

// fresh reports whether a nonce was issued in the last minutes.
func (v *Verifier) fresh(nonce string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(raw) != 8+nonceMAC {
		return false
	}
	minute := int64(binary.BigEndian.Uint64(raw))
	age := v.now().Unix()/int64(nonceStep/time.Second) - minute
	if age < -1 || age > nonceSteps { // the clock of a replica may be ahead
		return false
	}
	for _, id := range v.nonces.IDs() {
		if k, ok := v.nonces.ByID(keys.DPoPNonce, id); ok && hmac.Equal(v.nonceAt(k, minute), raw) {
			return true
		}
	}
	return false
}
