package jwt

// Cached returns how many tokens the scheme's cache holds.
func Cached(s *Scheme) (n int) {
	for i := range s.cache.shards {
		n += len(s.cache.shards[i].young) + len(s.cache.shards[i].old)
	}
	return n
}
