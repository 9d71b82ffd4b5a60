package jwt

// Cached returns how many tokens the scheme's cache holds.
func Cached(s *Scheme) (n int) {
	for i := range s.cache.shards {
		entries, _ := s.cache.shards[i].tokens.Usage()
		n += entries
	}
	return n
}
