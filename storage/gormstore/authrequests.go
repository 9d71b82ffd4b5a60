package gormstore

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	insertAuthRequest = "INSERT INTO vestibule_auth_requests (digest, purpose, client, subject, session, data, created_us, expires_us)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	authRequestByDigest = "SELECT purpose, client, subject, session, data, created_us, expires_us FROM vestibule_auth_requests WHERE digest = ?"
	takeAuthRequest     = "DELETE FROM vestibule_auth_requests WHERE digest = ?"
)

// CreateAuthRequest implements storage.AuthRequests. It locks the client until the request is
// inserted, so that deleting the client deletes the request, too.
func (s *Store) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	if err := a.Check(); err != nil {
		return err
	}
	if a.Subject == "" {
		if err := s.checkReserve(); err != nil {
			return err
		}
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		if a.Client != "" {
			if err := s.live(ctx, "SELECT TRUE FROM vestibule_clients WHERE id = ?", a.Client); err != nil {
				return err
			}
		}
		n, err := s.exec(ctx, s.dialect.bind(insertAuthRequest), a.Digest[:], a.Purpose, a.Client, a.Subject, a.Session, a.Data, micros(a.Created), micros(a.Expires))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
	return s.swept(ctx, &s.short.requests, a.Created, err)
}

// AuthRequestByDigest implements storage.AuthRequests.
func (s *Store) AuthRequestByDigest(ctx context.Context, d storage.Digest) (storage.AuthRequest, error) {
	a := storage.AuthRequest{Digest: d}
	var created, expires int64
	err := s.row(ctx, s.dialect.bind(authRequestByDigest), []any{d[:]}, []any{&a.Purpose, &a.Client, &a.Subject, &a.Session, &a.Data, &created, &expires})
	if err != nil {
		return storage.AuthRequest{}, notFound(err)
	}
	a.Created, a.Expires = timeOf(created), timeOf(expires)
	return a, nil
}

// ConsumeAuthRequest implements storage.AuthRequests.
func (s *Store) ConsumeAuthRequest(ctx context.Context, d storage.Digest) error {
	n, err := s.exec(ctx, s.dialect.bind(takeAuthRequest), d[:])
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}
