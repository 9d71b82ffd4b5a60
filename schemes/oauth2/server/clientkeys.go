package server

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/internal/flight"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// maxKeySet is the maximum length of a key set, in bytes. maxKeySets and maxKeySetBytes limit
	// the sets in memory.
	maxKeySet                  = 64 << 10
	maxKeySets, maxKeySetBytes = 1_000, 16 << 20
	// A key set is used for keysFresh, and for keysStale if it cannot be fetched then. For a key
	// that is not in it, or after a failure, it is fetched at most once per keysEvery.
	keysFresh, keysStale, keysEvery = 10 * time.Minute, time.Hour, 10 * time.Second
)

// keySets are the fetched key sets of clients (storage.Client.KeysURI).
type keySets struct {
	mu    sync.Mutex
	sets  *bounded.Map[string, keySet]
	calls flight.Group[string, keySetResult]
}

type keySet struct {
	body    []byte // nil if it was never fetched
	fetched time.Time
	tried   time.Time
}

type keySetResult struct {
	keySet
	err error
}

func newKeySets() *keySets {
	return &keySets{sets: bounded.New[string, keySet](maxKeySets, maxKeySetBytes)}
}

// clientKeys returns the client's keys with that ID. An error with status 429 means that its key
// set must be fetched and cannot be now. With every other error the client has no usable keys.
func (s *Server) clientKeys(ctx context.Context, c storage.Client, kid string) ([]*jose.Key, error) {
	if c.KeysURI == "" {
		return jose.OfferedKey(c.Keys, kid, s.assertionAlgorithms()...)
	}
	name := c.ID + "\n" + c.KeysURI
	now := s.now()
	s.keySets.mu.Lock()
	had, ok := s.keySets.sets.Get(name)
	s.keySets.mu.Unlock()
	age := now.Sub(had.fetched)
	var list []*jose.Key
	var err error
	if ok && had.body != nil && age >= 0 && age < keysFresh+keysStale {
		list, err = jose.OfferedKey(had.body, kid, s.assertionAlgorithms()...)
		if age < keysFresh && err == nil && len(list) > 0 {
			return list, nil
		}
	}
	if waited := now.Sub(had.tried); ok && waited >= 0 && waited < keysEvery {
		return list, err
	}
	next, failed := s.fetchKeys(ctx, name, c, had, now)
	switch {
	case failed == nil:
		return jose.OfferedKey(next.body, kid, s.assertionAlgorithms()...)
	case len(list) > 0: // old, but not too old
		return list, nil
	}
	return nil, failed
}

// fetchKeys fetches a key set. Requests for the same one share the fetch.
func (s *Server) fetchKeys(ctx context.Context, name string, c storage.Client, had keySet, now time.Time) (keySet, error) {
	k := s.keySets
	k.mu.Lock()
	call := k.calls.Get(name)
	if call != nil {
		k.mu.Unlock()
		if err := call.Wait(ctx); err != nil {
			return keySet{}, err
		}
		return call.Result.keySet, call.Result.err
	}
	call = k.calls.Begin(name, 0)
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if !isLimited(call.Result.err) {
			k.sets.Put(name, call.Result.keySet, len(call.Result.body)+len(name)+128)
		}
		k.calls.End(name, call)
	}()
	had.tried = now
	call.Result.keySet = had
	from := storage.ClientAddr(ctx)
	kind := keysKind(c)
	if kind.byAnybody() {
		if err := s.admitSource(ctx, from); err != nil {
			call.Result.err = err
			return keySet{}, err
		}
	}
	read, err := s.fetch(context.WithoutCancel(ctx), c.KeysURI, maxKeySet, kind, from)
	if err == nil {
		_, err = jose.ParseOfferedJWKS(read.Body, s.assertionAlgorithms()...) // one that cannot be used does not replace one that can
	}
	if call.Result.err = err; err == nil {
		call.Result.keySet = keySet{read.Body, now, now}
	}
	return call.Result.keySet, err
}

// keysKind returns whose word the URL of a client's key set is.
func keysKind(c storage.Client) urlKind {
	switch {
	case c.FromDocument():
		return allowedURL
	case provesNothing(c):
		return strangeURL
	}
	return registeredURL
}

// withSource returns a context with the client address of a request, by which fetches are counted.
func withSource(ctx context.Context, from netip.Addr) context.Context {
	return storage.WithClientAddr(ctx, from)
}
