package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// KeepRequest stores an authorization request until its user decides, and returns the handle for
// the form of the page. purpose names the page, prefix the handles of its kind. The error is an
// *oauth2.Error if the request is too large to be stored.
func (s *Server) KeepRequest(ctx context.Context, prefix, purpose string, q AuthorizationRequest, u SessionUser, ttl time.Duration) (handle string, err error) {
	if handle, err = s.text(prefix); err != nil {
		return "", err
	}
	return handle, s.keepRequest(ctx, q, storage.AuthRequest{Digest: storage.DigestOf(handle), Purpose: purpose, Subject: u.Subject, Session: u.Session}, ttl)
}

// keepRequest stores q in a.
func (s *Server) keepRequest(ctx context.Context, q AuthorizationRequest, a storage.AuthRequest, ttl time.Duration) (err error) {
	if a.Data, err = json.Marshal(q); err != nil {
		return err
	}
	a.Client, a.Created = q.Client, s.now()
	a.Expires = a.Created.Add(ttl)
	err = s.store.CreateAuthRequest(ctx, a)
	if errors.Is(err, storage.ErrInvalid) {
		return errRequest.WithCause(err)
	}
	return err
}

// Keep is KeepRequest for other data of a client.
func (s *Server) Keep(ctx context.Context, prefix, purpose, client string, data []byte, u SessionUser, ttl time.Duration) (handle string, err error) {
	if handle, err = s.text(prefix); err != nil {
		return "", err
	}
	now := s.now()
	return handle, s.store.CreateAuthRequest(ctx, storage.AuthRequest{
		Digest: storage.DigestOf(handle), Purpose: purpose, Client: client, Subject: u.Subject, Session: u.Session, Data: data, Created: now, Expires: now.Add(ttl),
	})
}

// Take consumes a handle of that prefix and purpose and returns what it stands for. The handle
// must have been created for the same user and session; otherwise the error is an *oauth2.Error
// with status 403, and the handle stays valid. It returns storage.ErrNotFound for a handle that
// is unknown, expired or used. Any other error is a fault.
func (s *Server) Take(ctx context.Context, prefix, purpose, handle string, u SessionUser) (storage.AuthRequest, error) {
	if !tokentext.Valid(prefix, handle) {
		return storage.AuthRequest{}, storage.ErrNotFound
	}
	d := storage.DigestOf(handle)
	a, err := s.store.AuthRequestByDigest(ctx, d)
	if err != nil {
		return a, err
	}
	if a.Purpose != purpose || a.Subject != u.Subject || a.Session != u.Session {
		return a, &oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: "This page was made for somebody else, or for another login.", NoRedirect: true}
	}
	if err := s.store.TakeAuthRequest(ctx, d); err != nil {
		return a, err
	}
	if a.Expired(s.now()) {
		return a, storage.ErrNotFound
	}
	return a, nil
}
