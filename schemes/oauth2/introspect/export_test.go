package introspect

// Kept returns how many answers the cache holds: of live tokens, and of dead ones.
func (i *Scheme) Kept() (live, dead int) {
	i.cache.mu.Lock()
	defer i.cache.mu.Unlock()
	live, _ = i.cache.live.Usage()
	dead, _ = i.cache.dead.Usage()
	return live, dead
}
