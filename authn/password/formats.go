package password

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// What Verify computes at most. A stored hash that asks for more matches nothing:
// who can write a hash must not be able to stop the server with it. Each limit of
// work is about two seconds of one core of 2020, and the memory is that of one
// slot.
const (
	maxEncoded     = 1024 // characters
	maxSalt        = 256  // bytes
	minKey, maxKey = 10, 128

	maxPBKDF2Work  = 4_000_000 // iterations, counted for each block of the key
	maxBcryptCost  = 14
	maxMemory      = 256 << 10 // KiB, of argon2 and scrypt
	maxArgonWork   = 512 << 10 // KiB times passes
	maxArgonTime   = 32
	maxThreads     = 64
	maxScryptWork  = 256 << 10 // KiB times p
	bcryptPassword = 72        // bytes of a password that bcrypt looks at
)

// verifier is a parsed hash.
type verifier interface {
	verify(password string) bool
	// current reports whether a new hash of that format would be as this one is.
	current(Format, Params) bool
	// cost is about how long verify takes.
	cost() time.Duration
	// blank returns one that costs the same and holds no account's hash.
	blank() verifier
}

// parse reads an encoded hash. It reports false for what is none, and for what
// costs too much.
func parse(s string) (verifier, bool) {
	if len(s) > maxEncoded || strings.ContainsAny(s, "\r\n") { // base64 would skip line ends
		return nil, false
	}
	kind, rest, _ := strings.Cut(s, "$")
	if kind == "" {
		return parsePHC(s, rest)
	}
	return parseDjango(kind, rest)
}

// parsePHC reads $kind$…, and bcrypt by itself; rest is without the first dollar
// sign.
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

// phcArgon2 reads v=19$m=…,t=…,p=…$salt$key.
func phcArgon2(kind, s string) (verifier, bool) {
	f := strings.Split(s, "$")
	if len(f) != 4 || f[0] != "v=19" {
		return nil, false
	}
	p, ok := parameters(f[1])
	salt, saltOK := unbase64(f[2])
	key, keyOK := unbase64(f[3])
	if !ok || !saltOK || !keyOK || len(p) != 3 {
		return nil, false
	}
	return argon2Verifier(kind == "argon2id", p["m"], p["t"], p["p"], salt, key)
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
