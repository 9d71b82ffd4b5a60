package password

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// derived is a hash with a salt that is recomputed and compared.
type derived struct {
	key      []byte
	compute  func(password string, n int) []byte
	argon    Params // the parameters of argon2id; zero for other hashes
	saltLen  int
	duration time.Duration
}

func (d derived) cost() time.Duration { return d.duration }

func (d derived) blank() verifier {
	d.key = make([]byte, len(d.key))
	return d
}

func (d derived) verify(password string) bool {
	return subtle.ConstantTimeCompare(d.compute(password, len(d.key)), d.key) == 1
}

func (d derived) current(f Format, p Params) bool {
	return f.version == "" && d.argon == p && len(d.key) == keyLen && d.saltLen >= saltLen
}

// newDerived checks the limits that all formats share.
func newDerived(salt, key []byte, argon Params, duration time.Duration, compute func(string, int) []byte) (verifier, bool) {
	if len(salt) > maxSalt || len(key) < minKey || len(key) > maxKey {
		return nil, false
	}
	return derived{key, compute, argon, len(salt), duration}, true
}

func argon2Verifier(id bool, memory, time, threads int, salt, key []byte) (verifier, bool) {
	if threads < 1 || threads > maxThreads || time < 1 || time > maxArgonTime ||
		memory < 8*threads || memory > maxMemory || memory*time > maxArgonWork {
		return nil, false
	}
	params := Params{uint32(memory), uint32(time), uint8(threads)}
	compute, marked := argon2.IDKey, params
	if !id {
		compute, marked = argon2.Key, Params{}
	}
	return newDerived(salt, key, marked, argon2Cost(params), func(password string, n int) []byte {
		return compute([]byte(password), salt, params.Time, params.Memory, params.Threads, uint32(n))
	})
}

func pbkdf2Verifier(sha1Hash bool, iterations int, salt, key []byte) (verifier, bool) {
	h, size := sha256.New, sha256.Size
	if sha1Hash {
		h, size = sha1.New, sha1.Size
	}
	blocks := (len(key) + size - 1) / size
	if iterations < 1 || iterations > maxPBKDF2Work/max(1, blocks) {
		return nil, false
	}
	return newDerived(salt, key, Params{}, time.Duration(iterations*blocks)*400*time.Nanosecond, func(password string, n int) []byte {
		return pbkdf2Key(h, password, salt, iterations, n)
	})
}

// pbkdf2Key calls crypto/pbkdf2. It can fail only in FIPS mode, which does not allow SHA-1, and
// then matches nothing.
func pbkdf2Key(h func() hash.Hash, password string, salt []byte, iterations, n int) []byte {
	key, err := pbkdf2.Key(h, password, salt, iterations, n)
	if err != nil {
		return nil
	}
	return key
}

func scryptVerifier(n, r, p int, salt, key []byte) (verifier, bool) {
	const perKiB = 8 // blocks of 128 bytes
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || p > maxThreads || r > maxMemory*perKiB ||
		n > maxMemory*perKiB/r || n*r > maxScryptWork*perKiB/p {
		return nil, false
	}
	return newDerived(salt, key, Params{}, time.Duration(n*r)*time.Duration(p)*time.Microsecond/2, func(password string, keyLen int) []byte {
		k, err := scrypt.Key([]byte(password), salt, n, r, p, keyLen)
		if err != nil {
			return nil
		}
		return k
	})
}

// bcryptHash is bcrypt of the password, or of its SHA-256 in hexadecimal as in Django's
// bcrypt_sha256.
type bcryptHash struct {
	encoded []byte
	sha256  bool
}

func parseBcrypt(s string, prehashed bool) (verifier, bool) {
	if len(s) != 60 || s[0] != '$' || s[1] != '2' || !strings.ContainsRune("aby", rune(s[2])) || s[3] != '$' {
		return nil, false
	}
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || cost > maxBcryptCost {
		return nil, false
	}
	return bcryptHash{[]byte(s), prehashed}, true
}

// verify rejects passwords that bcrypt would truncate or change: more than 72 bytes, and NUL, after
// which bcrypt repeats the password. It takes the same time for them.
func (b bcryptHash) verify(password string) bool {
	if b.sha256 {
		sum := sha256.Sum256([]byte(password))
		password = hex.EncodeToString(sum[:])
	}
	whole := len(password) <= bcryptPassword && strings.IndexByte(password, 0) < 0
	return bcrypt.CompareHashAndPassword(b.encoded, []byte(password)) == nil && whole
}

func (b bcryptHash) blank() verifier {
	const head = 29 // version, cost and salt
	return bcryptHash{append(bytes.Clone(b.encoded[:head]), bytes.Repeat([]byte("."), len(b.encoded)-head)...), b.sha256}
}

func (b bcryptHash) cost() time.Duration {
	cost, _ := bcrypt.Cost(b.encoded) // parseBcrypt has checked it
	return bcryptCost(cost)
}

// current reports whether the hash is as good as a new one. Another version or a higher cost is.
func (b bcryptHash) current(f Format, _ Params) bool {
	cost, _ := bcrypt.Cost(b.encoded)
	return f.version != "" && !b.sha256 && cost >= f.cost
}
