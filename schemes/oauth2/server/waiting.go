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
	// userPages is how many pages of one user wait for an answer at once. Any site can make the
	// user's browser open more. The user is never refused a page: an old one is dropped.
	userPages = 100
	// maxWaiting bounds the pages that are remembered, about 100 bytes each.
	maxWaiting = 100_000
	// dropTimeout bounds how long a dropped page is waited for.
	dropTimeout = 5 * time.Second
)

// waiting remembers which pages wait for a user's answer, to drop old ones. The zero value is
// ready. It is the memory of one process: several processes store as many pages more, and pages
// of an earlier process expire by themselves.
type waiting struct {
	mu    sync.Mutex
	users map[[16]byte][]waitingPage // in the order of creation
	pages int
}

type waitingPage struct {
	digest  storage.Digest
	group   [16]byte
	expires time.Time
}

// add remembers a page, and returns the pages that are to be dropped for it. They are forgotten
// by remove.
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

// makeRoom forgets the expired pages of a few users, or else the one of those users who has the
// fewest pages, which then wait until they expire.
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

// excess returns the pages beyond most: each time the oldest page of the group that has the most
// pages, so that many pages of one group leave those of the others alone.
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
		largest := -1 // the oldest page of the largest group, or of the first of equals
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

// await stores a page that waits for its user's answer. If the user has many, it drops the oldest
// of those that are alike: of the same session and client, and caused by a click or not. A page
// of another site that opens one after the other without clicks therefore drops its own.
func (s *Server) await(r *http.Request, a storage.AuthRequest) error {
	ctx := r.Context()
	if s.opts.Limits == nil {
		return s.store.CreateAuthRequest(ctx, a)
	}
	user := s.cellKey("waiting", a.Subject)
	group := s.cellKey("waiting group", a.Purpose, a.Client, a.Session, r.Header.Get("Sec-Fetch-User"))
	// A browser that leaves in this moment does not keep the old page from being dropped.
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
