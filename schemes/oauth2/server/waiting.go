package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// userPages is the maximum number of pages of one user that wait for a decision. Any site can
	// make the user's browser open more. The user is never denied a page; an old one is dropped
	// instead.
	userPages = 100
	// maxWaiting is the maximum number of remembered pages, about 100 bytes each.
	maxWaiting = 100_000
	// dropTimeout limits the time to drop an old page.
	dropTimeout = 5 * time.Second
)

// waiting remembers which pages wait for a user's decision, to drop old ones. The zero value is
// ready to use. It is in the memory of one process: with several processes each user can have
// userPages in each, and pages of an earlier process stay until they expire.
type waiting struct {
	mu    sync.Mutex
	users map[[16]byte][]waitingPage // in order of creation
	pages int
}

type waitingPage struct {
	digest  storage.Digest
	group   [16]byte
	expires time.Time
}

// add remembers a page and returns the pages to drop for it. Call remove for each dropped page.
func (w *waiting) add(user [16]byte, p waitingPage, now time.Time) (drop []storage.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users == nil {
		w.users = make(map[[16]byte][]waitingPage)
	}
	w.expire(user, now)
	if w.pages >= maxWaiting {
		w.makeRoom(user, now)
	}
	list := append(w.users[user], p)
	w.users[user] = list
	w.pages++
	return excess(list, userPages)
}

// remove forgets a page.
func (w *waiting) remove(user [16]byte, d storage.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.filter(user, func(p waitingPage) bool { return p.digest != d })
}

func (w *waiting) expire(user [16]byte, now time.Time) {
	w.filter(user, func(p waitingPage) bool { return now.Before(p.expires) })
}

func (w *waiting) filter(user [16]byte, keep func(waitingPage) bool) {
	list := w.users[user]
	kept := list[:0]
	for _, p := range list {
		if keep(p) {
			kept = append(kept, p)
		}
	}
	w.pages -= len(list) - len(kept)
	if len(kept) > 0 {
		w.users[user] = kept
	} else {
		delete(w.users, user)
	}
}

// makeRoom removes the expired pages of a few users. If there are none, it forgets all pages of the
// one of these users who has the fewest; these pages stay stored until they expire.
func (w *waiting) makeRoom(except [16]byte, now time.Time) {
	const look = 16
	before, n, least, fewest := w.pages, 0, 0, [16]byte{}
	for user, list := range w.users {
		if n++; n > look {
			break
		}
		if user == except {
			continue
		}
		if least == 0 || len(list) < least {
			least, fewest = len(list), user
		}
		w.expire(user, now)
	}
	if w.pages == before {
		w.filter(fewest, func(waitingPage) bool { return false })
	}
}

// excess returns the pages to drop so that most remain. It repeatedly selects the oldest page of
// the group with the most pages, so that many pages of one group do not displace those of others.
func excess(list []waitingPage, most int) (drop []storage.Digest) {
	if len(list) <= most {
		return nil
	}
	sizes := make(map[[16]byte]int)
	for _, p := range list {
		sizes[p.group]++
	}
	dropped := make(map[storage.Digest]bool)
	for range len(list) - most {
		largest := -1 // the oldest page of the largest group
		for i, p := range list {
			if !dropped[p.digest] && (largest < 0 || sizes[p.group] > sizes[list[largest].group]) {
				largest = i
			}
		}
		p := list[largest]
		sizes[p.group]--
		dropped[p.digest] = true
		drop = append(drop, p.digest)
	}
	return drop
}

// await stores a page that waits for its user's decision. If the user has too many, it drops the
// oldest page of the largest group. A group has the same purpose, session and client, and was
// opened by a click or not. So a page of another site that opens pages without clicks drops only
// its own.
func (s *Server) await(r *http.Request, a storage.AuthRequest) error {
	ctx := r.Context()
	if s.opts.Limits == nil {
		return s.store.CreateAuthRequest(ctx, a)
	}
	user := s.cellKey("waiting", a.Subject)
	group := s.cellKey("waiting group", a.Purpose, a.Client, a.Session, r.Header.Get("Sec-Fetch-User"))
	// The old page is dropped even if the browser disconnects now.
	dropping, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	for _, d := range s.waiting.add(user, waitingPage{a.Digest, group, a.Expires}, s.now()) {
		if err := s.store.ConsumeAuthRequest(dropping, d); err != nil && !errors.Is(err, storage.ErrNotFound) {
			s.waiting.remove(user, a.Digest)
			return err
		}
		s.waiting.remove(user, d)
	}
	return s.store.CreateAuthRequest(ctx, a)
}
