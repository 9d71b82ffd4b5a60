package cached_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// bases are the stores under caches.
var bases sync.Map

func (w *watched) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	c, err := w.Base.ClientByID(ctx, id)
	return c, w.saw(err)
}

func (w *world) client(id string) storage.Client {
	w.Helper()
	c := storage.Client{
		ID: id, Name: "client", Method: "client_secret_basic", Secret: storage.DigestOf("secret"),
		Scopes: []string{"read"}, Serves: []string{"https://api.example"}, Created: now,
	}
	w.must(w.base.CreateClient(w.ctx, c))
	return c
}

// clientChanges are the ways to change a client so that its secret is no longer accepted.
func clientChanges(ctx context.Context, c storage.Client) map[string]func(*cached.Store) error {
	c.Secret = storage.DigestOf("new")
	return map[string]func(*cached.Store) error{
		"new_secret": func(s *cached.Store) error { return s.UpdateClient(ctx, c) },
		"read_and_change": func(s *cached.Store) error {
			return storage.ChangeClient(ctx, s, c.ID, func(c *storage.Client) error { c.Secret = storage.DigestOf("new"); return nil })
		},
		"disable": func(s *cached.Store) error { return s.SetClientDisabled(ctx, c.ID, true) },
		"delete":  func(s *cached.Store) error { return s.DeleteClient(ctx, c.ID) },
		"message": func(s *cached.Store) error { // of another process, which deleted the client
			change := cached.Change{Key: cached.Key{Kind: cached.Blocks, Digest: storage.Digest(storage.BlockKeyOf("client", "", c.ID))}}
			text, err := change.MarshalText()
			if err != nil {
				return err
			}
			if err := unwatched(s, c.ID); err != nil {
				return err
			}
			var got cached.Change
			if err := got.UnmarshalText(text); err != nil {
				return err
			}
			got.Apply(s)
			return nil
		},
	}
}

// unwatched deletes a client in the store under s.
func unwatched(s *cached.Store, id string) error {
	v, ok := bases.Load(s)
	if !ok {
		return errors.New("no base")
	}
	return v.(*watched).DeleteClient(context.Background(), id)
}

// secretFits reports whether the client's first secret is accepted.
func secretFits(ctx context.Context, s storage.Clients, id string) (bool, error) {
	c, err := s.ClientByID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil && !c.Disabled && c.Secret == storage.DigestOf("secret"), err
}

func TestClientsAreCached(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		bases.Store(w.s, w.base)
		want := w.client("known")
		for i := range 3 {
			if n := w.asked(func() {
				got, err := w.s.ClientByID(w.ctx, "known")
				w.must(err)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("lookup %d: %+v, want %+v", i, got, want)
				}
				_ = append(got.Scopes, "admin")
				got.Scopes[0], got.Serves[0] = "admin", "https://other.example" // the caller owns them
			}); (n == 0) != (i > 0) {
				t.Errorf("lookup %d: %d queries", i, n)
			}
		}
		for what := range clientChanges(w.ctx, want) {
			t.Run("attack_430_client_"+what, func(t *testing.T) {
				id := "c-" + what
				w.client(id)
				for range 2 {
					if ok, err := secretFits(w.ctx, w.s, id); !ok || err != nil {
						t.Fatal("before:", ok, err)
					}
				}
				c := want
				c.ID = id
				w.must(clientChanges(w.ctx, c)[what](w.s))
				if ok, err := secretFits(w.ctx, w.s, id); ok || err != nil {
					t.Error("after:", ok, err)
				}
			})
		}
	})
}

// A client whose password hash the application chose, a disabled client and a client that is read in a
// transaction are read from the store each time. The memory holds no hash, and nobody who is disabled.
func TestClientsThatAreNotCached(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	hashed := storage.Client{ID: "hashed", Method: "client_secret_post", Password: "hash", Created: now}
	w.must(w.base.CreateClient(w.ctx, hashed))
	w.client("off")
	w.must(w.base.SetClientDisabled(w.ctx, "off", true))
	w.client("on")
	for _, id := range []string{"hashed", "off"} {
		if n := w.asked(func() {
			for range 3 {
				c, err := w.s.ClientByID(w.ctx, id)
				w.must(err)
				if c.Password != hashed.Password && id == "hashed" || c.Disabled != (id == "off") {
					t.Errorf("%+v", c)
				}
			}
		}); n != 3 {
			t.Errorf("%s: %d queries of 3", id, n)
		}
	}
	if n := w.asked(func() {
		for range 2 {
			w.must(w.s.InTx(w.ctx, func(ctx context.Context) error { _, err := w.s.ClientByID(ctx, "on"); return err }))
		}
	}); n != 2 {
		t.Errorf("in transactions: %d queries of 2", n)
	}
}

// An ID that is unknown is asked for once a second, and known as soon as this process creates it.
func TestUnknownClients(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	unknown := func() {
		if _, err := w.s.ClientByID(w.ctx, "later"); !errors.Is(err, storage.ErrNotFound) {
			t.Error(err)
		}
	}
	if n := w.asked(func() { unknown(); unknown() }); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
	w.clock.forward(cached.MaxUnknownTTL)
	if n := w.asked(unknown); n != 1 {
		t.Errorf("a second later: %d queries, want 1", n)
	}
	w.must(w.s.CreateClient(w.ctx, storage.Client{ID: "later", Method: "none", Created: now}))
	if _, err := w.s.ClientByID(w.ctx, "later"); err != nil {
		t.Error("after its creation:", err)
	}
	for i := range 12_000 {
		_, _ = w.s.ClientByID(w.ctx, fmt.Sprint("junk", i))
	}
	if u := w.s.UsageOf(cached.Clients); u.Unknown > 10_000 || u.Unknown == 0 {
		t.Errorf("%d unknown IDs are kept, at most 10,000 may be", u.Unknown)
	}
}

// What was read before a change is good for the caller alone who asked before it, and is not kept.
func TestClientChangedWhileItIsRead(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		bases.Store(w.s, w.base)
		for what := range clientChanges(w.ctx, storage.Client{}) {
			t.Run("attack_043_"+what, func(t *testing.T) {
				id := "r-" + what
				c := w.client(id)
				w.base.then(func(err error) error { // between what the store read and its answer
					w.base.then(nil)
					return errors.Join(err, clientChanges(w.ctx, c)[what](w.s))
				})
				if ok, err := secretFits(w.ctx, w.s, id); !ok || err != nil {
					t.Error("the caller that asked first:", ok, err)
				}
				if ok, err := secretFits(w.ctx, w.s, id); ok || err != nil {
					t.Error("the next one:", ok, err)
				}
			})
		}
	})
}

// Without a courier, what other programs change takes effect after the TTL.
func TestClientExpires(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	w.client("c")
	ok, err := secretFits(w.ctx, w.s, "c")
	w.must(err)
	w.must(w.base.DeleteClient(w.ctx, "c"))
	w.clock.forward(30 * time.Second)
	if gone, err := secretFits(w.ctx, w.s, "c"); !ok || gone || err != nil {
		t.Error(ok, gone, err)
	}
}
