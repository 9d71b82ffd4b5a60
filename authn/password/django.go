package password

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// parseDjango parses the column auth_user.password: an algorithm and its parameters. Django
// compares encoded texts, so a key must have its full length, and a salt, which is text, must not
// be empty. MD5, SHA-1 without iterations and crypt are not secure password hashes and match
// nothing.
func parseDjango(kind, rest string) (verifier, bool) {
	switch kind {
	case "pbkdf2_sha256":
		return djangoPBKDF2(false, rest)
	case "pbkdf2_sha1":
		return djangoPBKDF2(true, rest)
	case "scrypt":
		return djangoScrypt(rest)
	case "argon2":
		if variant, rest, _ := strings.Cut(rest, "$"); variant == "argon2id" || variant == "argon2i" {
			return phcArgon2(variant, rest)
		}
	case "bcrypt":
		return parseBcrypt(rest, false)
	case "bcrypt_sha256":
		return parseBcrypt(rest, true)
	}
	return nil, false
}

// djangoPBKDF2 parses iterations$salt$base64.
func djangoPBKDF2(sha1Hash bool, s string) (verifier, bool) {
	size := sha256.Size
	if sha1Hash {
		size = sha1.Size
	}
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return nil, false
	}
	n, ok := number(f[0])
	key, keyOK := djangoKey(f[2], size)
	if !ok || !keyOK || f[1] == "" {
		return nil, false
	}
	return pbkdf2Verifier(sha1Hash, n, []byte(f[1]), key)
}

// djangoScrypt parses N$salt$r$p$base64.
func djangoScrypt(s string) (verifier, bool) {
	f := strings.Split(s, "$")
	if len(f) != 5 {
		return nil, false
	}
	n, nOK := number(f[0])
	r, rOK := number(f[2])
	p, pOK := number(f[3])
	key, keyOK := djangoKey(f[4], 64)
	if !nOK || !rOK || !pOK || !keyOK || f[1] == "" {
		return nil, false
	}
	return scryptVerifier(n, r, p, []byte(f[1]), key)
}

func djangoKey(s string, size int) ([]byte, bool) {
	key, err := base64.StdEncoding.Strict().DecodeString(s)
	return key, err == nil && len(key) == size
}
