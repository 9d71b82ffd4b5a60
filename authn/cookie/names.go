package cookie

// CredentialCookies returns CookieName.
func (s *Scheme) CredentialCookies() []string { return []string{s.wire} }
