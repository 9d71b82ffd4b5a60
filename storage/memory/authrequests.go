package memory

import (
	"bytes"
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copyAuthRequest(a storage.AuthRequest) storage.AuthRequest {
	a.Data, a.Created, a.Expires = bytes.Clone(a.Data), a.Created.UTC(), a.Expires.UTC()
	return a
}

// CreateAuthRequest implements storage.AuthRequests.
func (s *Store) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	if err := a.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if _, known := s.clients[a.Client]; a.Client != "" && !known {
			return storage.ErrStale
		}
		if _, taken := s.requests[a.Digest]; taken {
			return storage.ErrConflict
		}
		put(t, s.requests, a.Digest, copyAuthRequest(a))
		sweep(&s.sweeps.requests, s.requests, s.notAhead(a.Created), func(a storage.AuthRequest) time.Time { return a.Expires }, func(d storage.Digest) { drop(t, s.requests, d) })
		return nil
	})
}

// AuthRequestByDigest implements storage.AuthRequests.
func (s *Store) AuthRequestByDigest(ctx context.Context, d storage.Digest) (a storage.AuthRequest, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if a, ok = s.requests[d]; !ok {
			return storage.ErrNotFound
		}
		a = copyAuthRequest(a)
		return nil
	})
	return a, err
}

// ConsumeAuthRequest implements storage.AuthRequests.
func (s *Store) ConsumeAuthRequest(ctx context.Context, d storage.Digest) error {
	return s.write(ctx, func(t *tx) error {
		if _, ok := s.requests[d]; !ok {
			return storage.ErrNotFound
		}
		drop(t, s.requests, d)
		return nil
	})
}

// dropAuthRequests removes the requests that match.
func (s *Store) dropAuthRequests(t *tx, match func(storage.AuthRequest) bool) {
	for d, a := range s.requests {
		if match(a) {
			drop(t, s.requests, d)
		}
	}
}
