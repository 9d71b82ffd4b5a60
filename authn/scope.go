package authn

// IsScope reports whether s is a scope-token (RFC 6749, section 3.3): at least one character, and
// only printable ASCII without spaces, quotes and backslashes.
func IsScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
			return false
		}
	}
	return s != ""
}
