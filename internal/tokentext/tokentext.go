// Package tokentext forwards to package credential.
//
// Use credential.Format instead.
package tokentext

import "github.com/vestibule-auth/vestibule/credential"

// Size is credential.Size.
const Size = credential.Size

func format(prefix string) credential.Format {
	f, _ := credential.NewFormat(prefix)
	return f
}

// CheckPrefix is credential.CheckPrefix.
func CheckPrefix(prefix string) error { return credential.CheckPrefix(prefix) }

// Encode is credential.Format.Encode.
func Encode(prefix string, body [Size]byte) string { return format(prefix).Encode(body) }

// Fits is credential.Format.Fits.
func Fits(prefix, text string) bool { return format(prefix).Fits(text) }

// Valid is credential.Format.Valid.
func Valid(prefix, text string) bool { return format(prefix).Valid(text) }

// Shaped is credential.IsToken.
func Shaped(text string) bool { return credential.IsToken(text) }

// HasPrefix is credential.Format.HasPrefix.
func HasPrefix(prefix, text string) bool { return format(prefix).HasPrefix(text) }

// Pattern is credential.Format.Pattern.
func Pattern(prefix string) string { return format(prefix).Pattern() }
