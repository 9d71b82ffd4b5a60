package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// What Verify computes at most. A stored hash that asks for more matches nothing:
// who can write a hash must not be able to stop the server with it.
const (
	maxEncoded       = 1024      // characters
	maxSalt          = 256       // bytes
	minKey, maxKey   = 10, 128   // bytes
	maxIterations    = 4_000_000 // of PBKDF2
	maxArgonMemory   = 256 * 1024
	maxArgonTime     = 32
	maxArgonThreads  = 64
	maxScryptMemory  = 256 << 20
	maxScryptThreads = 16
	maxBcryptCost    = 16
	bcryptLimit      = 72 // bytes of a password that bcrypt looks at
)

// verifier is a parsed hash.
type verifier interface {
	verify(password string) bool
	// current reports whether a new hash would be made with these parameters.
	current(Params) bool
}

// parse reads an encoded hash. It reports false for what is none, and for what
// costs too much.
func parse(s string) (verifier, bool) {
	if len(s) > maxEncoded || strings.ContainsAny(s, "\r\n") { // base64 would skip line ends
		return nil, false
	}
	kind, rest, _ := strings.Cut(s, "$")
	switch kind {
	case "": // PHC, and bcrypt by itself
		return parsePHC(s, rest)
	case "pbkdf2_sha256", "pbkdf2_sha1":
		return djangoPBKDF2(kind, rest)
	case "scrypt":
		return djangoScrypt(rest)
	case "argon2":
		return parsePHC("$"+rest, rest)
	case "bcrypt":
		return parseBcrypt(rest, false)
	case "bcrypt_sha256":
		return parseBcrypt(rest, true)
	}
	return nil, false
}

// parsePHC reads $kind$…; rest is without the first dollar sign.
func parsePHC(whole, rest string) (verifier, bool) {
	kind, rest, _ := strings.Cut(rest, "$")
	switch kind {
	case "argon2id", "argon2i":
		return phcArgon2(kind, rest)
	case "pbkdf2-sha256", "pbkdf2-sha1", "pbkdf2":
		return phcPBKDF2(kind, rest)
	case "scrypt":
		return phcScrypt(rest)
	case "2a", "2b", "2y":
		return parseBcrypt(whole, false)
	}
	return nil, false
}

// derived is a hash that is computed from a salt and compared.
type derived struct {
	key     []byte
	compute func(password string, n int) []byte
	params  Params // of argon2id; zero otherwise
}

func (d derived) verify(password string) bool {
	return subtle.ConstantTimeCompare(d.compute(password, len(d.key)), d.key) == 1
}

func (d derived) current(p Params) bool { return d.params == p && len(d.key) == keyLen }

// newDerived checks what all formats have in common.
func newDerived(salt, key []byte, p Params, compute func(string, int) []byte) (verifier, bool) {
	if len(salt) > maxSalt || len(key) < minKey || len(key) > maxKey {
		return nil, false
	}
	return derived{key, compute, p}, true
}

func pbkdf2Verifier(sha1Hash bool, iterations int, salt, key []byte) (verifier, bool) {
	if iterations < 1 || iterations > maxIterations {
		return nil, false
	}
	h := sha256.New
	if sha1Hash {
		h = sha1.New
	}
	return newDerived(salt, key, Params{}, func(password string, n int) []byte {
		return pbkdf2Key(h, password, salt, iterations, n)
	})
}

// pbkdf2Key is crypto/pbkdf2; its error can only be about FIPS mode, which has no
// SHA-1, and matches nothing.
func pbkdf2Key(h func() hash.Hash, password string, salt []byte, iterations, n int) []byte {
	key, err := pbkdf2.Key(h, password, salt, iterations, n)
	if err != nil {
		return nil
	}
	return key
}

// djangoPBKDF2 reads iterations$salt$base64; the salt is its text.
func djangoPBKDF2(kind, s string) (verifier, bool) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return nil, false
	}
	n, ok := number(f[0])
	key, err := base64.StdEncoding.DecodeString(f[2])
	if !ok || err != nil {
		return nil, false
	}
	return pbkdf2Verifier(kind == "pbkdf2_sha1", n, []byte(f[1]), key)
}

// phcPBKDF2 reads i=N[,l=N]$salt$key, and passlib's N$salt$key with "." for "+".
func phcPBKDF2(kind, s string) (verifier, bool) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return nil, false
	}
	p, ok := parameters(f[0])
	if n, plain := number(f[0]); plain {
		p, ok = map[string]int{"i": n}, true
	}
	salt, saltOK := unbase64(f[1])
	key, keyOK := unbase64(f[2])
	if l, has := p["l"]; !ok || !saltOK || !keyOK || has && l != len(key) {
		return nil, false
	}
	return pbkdf2Verifier(kind != "pbkdf2-sha256", p["i"], salt, key)
}

// phcArgon2 reads v=19$m=…,t=…,p=…$salt$key.
func phcArgon2(kind, s string) (verifier, bool) {
	f := strings.Split(s, "$")
	if len(f) != 4 || f[0] != "v="+strconv.Itoa(argon2.Version) {
		return nil, false
	}
	p, ok := parameters(f[1])
	salt, saltOK := unbase64(f[2])
	key, keyOK := unbase64(f[3])
	if !ok || !saltOK || !keyOK || len(p) != 3 {
		return nil, false
	}
	memory, time, threads := p["m"], p["t"], p["p"]
	if memory < 1 || memory > maxArgonMemory || time < 1 || time > maxArgonTime || threads < 1 || threads > maxArgonThreads || memory < 8*threads {
		return nil, false
	}
	params := Params{uint32(memory), uint32(time), uint8(threads)}
	compute, marked := argon2.IDKey, params
	if kind == "argon2i" {
		compute, marked = argon2.Key, Params{}
	}
	return newDerived(salt, key, marked, func(password string, n int) []byte {
		return compute([]byte(password), salt, params.Time, params.Memory, params.Threads, uint32(n))
	})
}

// djangoScrypt reads N$salt$r$p$base64; the salt is its text.
func djangoScrypt(s string) (verifier, bool) {
	f := strings.Split(s, "$")
	if len(f) != 5 {
		return nil, false
	}
	n, nOK := number(f[0])
	r, rOK := number(f[2])
	p, pOK := number(f[3])
	key, err := base64.StdEncoding.DecodeString(f[4])
	if !nOK || !rOK || !pOK || err != nil {
		return nil, false
	}
	return scryptVerifier(n, r, p, []byte(f[1]), key)
}

// phcScrypt reads ln=…,r=…,p=…$salt$key.
func phcScrypt(s string) (verifier, bool) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return nil, false
	}
	p, ok := parameters(f[0])
	salt, saltOK := unbase64(f[1])
	key, keyOK := unbase64(f[2])
	if !ok || !saltOK || !keyOK || p["ln"] < 1 || p["ln"] > 30 {
		return nil, false
	}
	return scryptVerifier(1<<p["ln"], p["r"], p["p"], salt, key)
}

func scryptVerifier(n, r, p int, salt, key []byte) (verifier, bool) {
	const block = 128
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || p > maxScryptThreads || r > maxScryptMemory/block || n > maxScryptMemory/block/r {
		return nil, false
	}
	return newDerived(salt, key, Params{}, func(password string, keyLen int) []byte {
		k, err := scrypt.Key([]byte(password), salt, n, r, p, keyLen)
		if err != nil {
			return nil
		}
		return k
	})
}

// bcryptHash is bcrypt of the password, or of the hex SHA-256 of it as Django's
// bcrypt_sha256 does.
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

// verify refuses what bcrypt would cut off or fold: more than 72 bytes, and NUL,
// after which the password begins again.
func (b bcryptHash) verify(password string) bool {
	if b.sha256 {
		sum := sha256.Sum256([]byte(password))
		password = hex.EncodeToString(sum[:])
	}
	whole := len(password) <= bcryptLimit && strings.IndexByte(password, 0) < 0
	return bcrypt.CompareHashAndPassword(b.encoded, []byte(password)) == nil && whole
}

func (bcryptHash) current(Params) bool { return false }

// number reads a decimal number without sign, blanks or leading zeros.
func number(s string) (int, bool) {
	if s == "" || len(s) > 10 || s[0] == '0' && s != "0" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// parameters reads a=1,b=2.
func parameters(s string) (map[string]int, bool) {
	p := make(map[string]int)
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		n, ok := number(value)
		if _, twice := p[name]; !ok || twice {
			return nil, false
		}
		p[name] = n
	}
	return p, true
}

// unbase64 reads PHC's base64 without padding, and passlib's "." for "+".
func unbase64(s string) ([]byte, bool) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.ReplaceAll(s, ".", "+"))
	return b, err == nil
}
