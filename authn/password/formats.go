package password

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Limits of what Verify computes. A stored hash beyond them matches nothing, so that someone who
// can write a hash cannot stop the server with it. Each limit of work is about two seconds of one
// core of 2020, and the limit of memory applies to each slot.
const (
	maxEncoded     = 1024 // characters
	maxSalt        = 256  // bytes
	minKey, maxKey = 10, 128

	maxPBKDF2Work  = 4_000_000 // iterations, times the number of blocks of the key
	maxBcryptCost  = 14
	maxMemory      = 256 << 10 // KiB, of argon2 and scrypt
	maxArgonWork   = 512 << 10 // KiB times passes
	maxArgonTime   = 32
	maxThreads     = 64
	maxScryptWork  = 256 << 10 // KiB times p
	bcryptPassword = 72        // bytes of a password that bcrypt uses
)

// verifier is a parsed hash.
type verifier interface {
	verify(password string) bool
	// current reports whether the hash has the format and parameters of new hashes.
	current(Format, Params) bool
	// cost returns the estimated duration of verify.
	cost() time.Duration
	// blank returns a verifier of the same cost that holds no account's hash.
	blank() verifier
}

// parse parses an encoded hash. It returns false if the hash is malformed, unsupported or too
// expensive.
func parse(s string) (verifier, bool) {
	if len(s) > maxEncoded || strings.ContainsAny(s, "\r\n") { // base64 ignores line breaks
		return nil, false
	}
	kind, rest, _ := strings.Cut(s, "$")
	if kind == "" {
		return parsePHC(s, rest)
	}
	return parseDjango(kind, rest)
}

// parsePHC parses $kind$… and plain bcrypt. rest is whole without the first dollar sign.
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

// phcArgon2 parses v=19$m=…,t=…,p=…$salt$key.
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

// phcPBKDF2 parses i=N[,l=N]$salt$key, and passlib's N$salt$key with "." instead of "+".
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

// phcScrypt parses ln=…,r=…,p=…$salt$key.
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

// number parses a decimal number without sign, spaces or leading zeros.
func number(s string) (int, bool) {
	if s == "" || len(s) > 10 || s[0] == '0' && s != "0" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// parameters parses a=1,b=2.
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

// unbase64 decodes base64 without padding, as in PHC, and passlib's "." instead of "+".
func unbase64(s string) ([]byte, bool) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.ReplaceAll(s, ".", "+"))
	return b, err == nil
}
