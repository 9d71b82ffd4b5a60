package jwt

// Cached returns the number of tokens in the scheme's cache.
func Cached(s *Scheme) (n int) {
	for i := range s.cache.shards {
		entries, _ := s.cache.shards[i].tokens.Usage()
		n += entries
	}
	return n
}
