package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// KeepRequest stores an authorization request until its user decides. If the request is too large
// to be stored, the error is an *oauth2.Error. See [Server.Keep].
func (s *Server) KeepRequest(r *http.Request, handle, purpose string, q AuthorizationRequest, u SessionUser, ttl time.Duration) error {
	data, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return invalidRequest(s.Keep(r, handle, purpose, q.record(), data, u, ttl))
}

// Keep stores data of a client until the user of a page decides. handle is a text from
// [Server.NewText], which the form of the page sends back, and purpose names the page. If many
// pages of the user wait, Keep drops the data of the oldest similar page, whose form is then
// rejected as too old.
func (s *Server) Keep(r *http.Request, handle, purpose, client string, data []byte, u SessionUser, ttl time.Duration) error {
	now := s.now()
	return s.await(r, storage.AuthRequest{
		Digest: storage.DigestOf(handle), Purpose: purpose, Client: client, Subject: u.Subject, Session: u.Session, Data: data, Created: now, Expires: now.Add(ttl),
	})
}

// invalidRequest returns the error response for a request that cannot be stored, and every other
// error unchanged.
func invalidRequest(err error) error {
	if errors.Is(err, storage.ErrInvalid) || errors.Is(err, storage.ErrStale) { // ErrStale: the client was deleted concurrently
		return errRequest.WithCause(err)
	}
	return err
}

// Peek returns the record of a handle with that prefix and purpose, and does not consume it. The
// handle must have been created for the same user and session; otherwise the error is an
// *oauth2.Error with status 403. It returns storage.ErrNotFound for a handle that is unknown,
// expired or used. Any other error is a server error.
//
// Use it for a decision that can fail. Consume the handle (ConsumeAuthRequest of the store, with
// the Digest) in the transaction that stores the decision. Then the user can send the form again
// after a server error.
func (s *Server) Peek(ctx context.Context, prefix, purpose, handle string, u SessionUser) (storage.AuthRequest, error) {
	if !credential.MustFormat(prefix).Valid(handle) {
		return storage.AuthRequest{}, storage.ErrNotFound
	}
	a, err := s.store.AuthRequestByDigest(ctx, storage.DigestOf(handle))
	switch {
	case err != nil:
		return a, err
	case a.Purpose != purpose || a.Subject != u.Subject || a.Session != u.Session:
		return a, &oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: "This page belongs to another user or another login.", NoRedirect: true}
	case a.Expired(s.now()), storage.Ahead(s.now(), a.Created):
		return a, storage.ErrNotFound
	}
	return a, nil
}

// Take is [Server.Peek], but also consumes the handle.
func (s *Server) Take(ctx context.Context, prefix, purpose, handle string, u SessionUser) (storage.AuthRequest, error) {
	a, err := s.Peek(ctx, prefix, purpose, handle, u)
	if err == nil {
		err = s.store.ConsumeAuthRequest(ctx, a.Digest)
	}
	return a, err
}
