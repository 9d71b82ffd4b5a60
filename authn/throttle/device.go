package throttle

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// deviceAge is the time for which a device is known after its last new cookie.
const deviceAge = 180 * 24 * time.Hour

// devices creates and reads device cookies. They are sealed with AES-256-GCM, with the name of the
// cookie as associated data. They contain the time of issue, a device ID, the stamp of the
// account's subject and epoch, and a digest of the account's name space and name. A cookie is not
// enough to make a caller known: the store holds the known devices.
type devices struct {
	aead   cipher.AEAD
	name   string
	secure bool
}

type device struct {
	id, stamp Key
	account   [sha256.Size]byte // digest of the account's name space and name
	issued    time.Time
}

const deviceLen = 8 + 16 + 16 + sha256.Size

func newDevices(key []byte, plain bool) (*devices, error) {
	if len(key) != 32 {
		return nil, errors.New("throttle: NewLogin: DeviceKey must have 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	if plain {
		return &devices{aead, "device", false}, nil
	}
	return &devices{aead, "__Host-device", true}, nil
}

// read returns the device of the request's cookie if the cookie is valid for the account.
func (d *devices) read(r *http.Request, account string, now time.Time) (device, bool) {
	x, ok := d.open(r, now)
	sum := sha256.Sum256([]byte(account))
	if !ok || subtle.ConstantTimeCompare(sum[:], x.account[:]) != 1 {
		return device{}, false
	}
	return x, true
}

// open returns the device of the request's cookie for any account. It returns false if there are
// two cookies of the name.
func (d *devices) open(r *http.Request, now time.Time) (device, bool) {
	text, err := authn.Cookie(r, d.name)
	if err != nil || len(text) != base64.RawURLEncoding.EncodedLen(deviceLen+d.aead.Overhead()) {
		return device{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return device{}, false
	}
	b, err := d.aead.Open(nil, nil, sealed, []byte(d.name))
	if err != nil || len(b) != deviceLen {
		return device{}, false
	}
	x := device{issued: time.Unix(int64(binary.BigEndian.Uint64(b)), 0)}
	copy(x.id[:], b[8:])
	copy(x.stamp[:], b[24:])
	copy(x.account[:], b[40:])
	if age := now.Sub(x.issued); age < -time.Minute || age >= deviceAge {
		return device{}, false
	}
	return x, true
}

// cookies returns the cookie for a device that has just logged in. It returns none if the cookie of
// the request is still in the first half of its lifetime.
func (d *devices) cookies(account string, id, stamp Key, came *device, now time.Time) []*http.Cookie {
	if came != nil && now.Sub(came.issued) < deviceAge/2 {
		return nil
	}
	sum := sha256.Sum256([]byte(account))
	b := binary.BigEndian.AppendUint64(make([]byte, 0, deviceLen), uint64(now.Unix()))
	b = append(append(append(b, id[:]...), stamp[:]...), sum[:]...)
	return []*http.Cookie{{
		Name: d.name, Value: base64.RawURLEncoding.EncodeToString(d.aead.Seal(nil, nil, b, []byte(d.name))),
		Path: "/", MaxAge: int(deviceAge / time.Second), Secure: d.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}}
}
