package authn

// IsScope reports whether s is a scope-token of RFC 6749, section 3.3: printable ASCII without
// blanks, quotes and backslashes, at least one character.
func IsScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
			return false
		}
	}
	return s != ""
}
