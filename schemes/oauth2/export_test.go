package oauth2

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Kept returns how many answers the cache holds: of live tokens, and of dead ones.
func (i *Introspector) Kept() (live, dead int) {
	i.cache.mu.Lock()
	defer i.cache.mu.Unlock()
	return len(i.cache.live.young) + len(i.cache.live.old), len(i.cache.dead.young) + len(i.cache.dead.old)
}

// Waiting opens pages for a number of users, and returns how many of how many users are
// remembered.
func Waiting(users, each int) (pages, of int) {
	var w waiting
	now := time.Unix(0, 0)
	for u := range users {
		for p := range each {
			var key [16]byte
			binary.LittleEndian.PutUint64(key[:], uint64(u))
			digest := storage.DigestOf(fmt.Sprint(u, " ", p))
			for _, d := range w.add(key, waitingPage{digest: digest, expires: now.Add(time.Minute)}, now) {
				w.remove(key, d)
			}
		}
	}
	for _, list := range w.users {
		pages += len(list)
	}
	if pages != w.pages {
		panic("the count of pages is wrong")
	}
	return pages, len(w.users)
}
