package password

import (
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// Rehash says what a login does with a hash that is not as new ones are.
type Rehash uint8

const (
	// RehashUpgrade, the default, replaces it at login by one of HasherOptions.NewFormat. A
	// program that shares the table must be able to read that.
	RehashUpgrade Rehash = iota
	// RehashNever leaves it: a login writes nothing, whatever its format and cost. Use it while
	// an old program reads the same table.
	RehashNever
)

// Format is how new passwords are hashed. The zero value is argon2id.
type Format struct {
	version string // of bcrypt; "": argon2id
	cost    int
}

// Bcrypt returns the format $2a$, $2b$ or $2y$ with that cost, for tables that an old program reads
// too: PHP writes and expects "2y", Ruby and older Java "2a", most others read "2b". A cost below
// 10 or above 14 and another version are an error of NewHasher. New passwords then have at most
// 72 bytes, since bcrypt ignores what follows.
func Bcrypt(version string, cost int) Format { return Format{version, cost} }

func (f Format) check() error {
	switch {
	case f == (Format{}):
		return nil
	case f.version != "2a" && f.version != "2b" && f.version != "2y":
		return fmt.Errorf("password: NewHasher: bcrypt version %q (accepted are 2a, 2b and 2y)", f.version)
	case f.cost < bcrypt.DefaultCost || f.cost > maxBcryptCost:
		return fmt.Errorf("password: NewHasher: bcrypt cost %d out of range (%d to %d)", f.cost, bcrypt.DefaultCost, maxBcryptCost)
	}
	return nil
}

// maxLength is the longest password that the format takes, in bytes.
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
		return "", fmt.Errorf("password: %w", err)
	}
	// What this package writes as 2a is what 2b and 2y mean: the versions differ for passwords
	// that old implementations hashed wrongly.
	return "$" + f.version + string(text[3:]), nil
}
