package password

import (
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// Rehash determines what a login does with a hash that differs from new ones in format or cost.
type Rehash uint8

const (
	// RehashUpgrade, the default, replaces such a hash with a hash of HasherOptions.NewFormat. A
	// program that shares the table must be able to read that format.
	RehashUpgrade Rehash = iota
	// RehashNever keeps such a hash: a login writes no hash. Use it while an old program reads the
	// same table.
	RehashNever
)

// Format is the format of new hashes. The zero value means argon2id.
type Format struct {
	version string // of bcrypt; "" means argon2id
	cost    int
}

// Bcrypt returns the format $2a$, $2b$ or $2y$ with a cost of 10 to 14, for tables that an old
// program reads too. PHP writes and expects "2y", Ruby and older Java "2a"; most others read "2b".
// [NewHasher] returns an error for other versions and costs. New passwords then have at most 72
// bytes, because bcrypt ignores the rest.
func Bcrypt(version string, cost int) Format { return Format{version, cost} }

func (f Format) check() error {
	switch {
	case f == (Format{}):
		return nil
	case f.version != "2a" && f.version != "2b" && f.version != "2y":
		return fmt.Errorf("password: NewHasher: invalid bcrypt version %q (2a, 2b or 2y)", f.version)
	case f.cost < bcrypt.DefaultCost || f.cost > maxBcryptCost:
		return fmt.Errorf("password: NewHasher: bcrypt cost %d out of range (%d to %d)", f.cost, bcrypt.DefaultCost, maxBcryptCost)
	}
	return nil
}

// maxLength returns the maximum length of a password in this format, in bytes.
func (f Format) maxLength() int {
	if f.version != "" {
		return bcryptPassword
	}
	return MaxLength
}

// hash returns a new bcrypt hash.
func (f Format) hash(password string) (string, error) {
	text, err := bcrypt.GenerateFromPassword([]byte(password), f.cost)
	if err != nil {
		return "", fmt.Errorf("password: bcrypt: %w", err)
	}
	// The "2a" hashes of this package are the same as "2b" and "2y". The versions differ only for
	// passwords that old implementations hashed incorrectly.
	return "$" + f.version + string(text[3:]), nil
}
