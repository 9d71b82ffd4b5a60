package cached_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Who appends to a list of a hit gets a list of its own: nobody else's roles or data change.
func TestAppendIsOnesOwn(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{})
	var many []string
	for i := range 17 { // one more than Go makes room for exactly
		many = append(many, fmt.Sprint("role", i))
	}
	for _, id := range []string{"alice", "bob"} {
		w.must(w.base.CreateUser(w.ctx, storage.User{ID: id, Name: id, Active: true, Roles: many, Created: now}))
		w.give(id)
	}
	rolesOf := func(id string) []string {
		_, u, err := w.s.StaticTokenByDigest(w.ctx, storage.DigestOf(id+" 0"))
		w.must(err)
		return u.Roles
	}
	rolesOf("alice")
	rolesOf("bob")
	alices := append(rolesOf("alice"), "guest")
	bobs := append(rolesOf("bob"), "admin")
	if slices.Contains(alices, "admin") || !slices.Contains(bobs, "admin") {
		t.Errorf("alice has %q, bob %q", alices[17:], bobs[17:])
	}
	s := w.session("alice", "data", 0)
	s.Data = []byte("17 bytes of data.")
	w.must(w.s.CreateSession(w.ctx, s, storage.Digest{}))
	_, _, err := w.s.SessionByDigest(w.ctx, s.Digest)
	w.must(err)
	got, _, err := w.s.SessionByDigest(w.ctx, s.Digest)
	w.must(err)
	if cap(got.Data) != len(s.Data) {
		t.Errorf("%d bytes of data, room for %d", len(got.Data), cap(got.Data))
	}

	// Neither do those who waited for one lookup share room.
	w.s.FlushAll()
	read, goOn := make(chan struct{}), make(chan struct{})
	w.base.then(func(err error) error { close(read); <-goOn; return err })
	var wg sync.WaitGroup
	wg.Go(func() { rolesOf("alice") })
	<-read
	asking, room := make(chan struct{}, 8), make(chan int, 8)
	for range 8 {
		wg.Go(func() { asking <- struct{}{}; room <- cap(rolesOf("alice")) })
	}
	for range 8 {
		<-asking
	}
	runtime.Gosched()
	close(goOn)
	wg.Wait()
	for range 8 {
		if n := <-room; n != len(many) {
			t.Errorf("%d roles, room for %d", len(many), n)
		}
	}
}
