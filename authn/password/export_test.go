package password

// Slots reports how many slots of the hasher are taken, and how many wait.
func (h *Hasher) Slots() (taken, waiting int) {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	return len(h.queue.slots), h.queue.waiting
}
