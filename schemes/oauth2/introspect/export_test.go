package introspect

// Kept returns how many answers the cache holds: of live tokens, and of dead ones.
func (i *Scheme) Kept() (live, dead int) {
	i.cache.mu.Lock()
	defer i.cache.mu.Unlock()
	return len(i.cache.live.young) + len(i.cache.live.old), len(i.cache.dead.young) + len(i.cache.dead.old)
}
