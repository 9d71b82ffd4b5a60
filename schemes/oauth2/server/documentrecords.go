package server

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/clientdoc"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// StoredDocument is the client ID metadata document of a client without a record, in a stored
// authorization request.
type StoredDocument struct {
	Body    []byte    `json:"body"`
	Fetched time.Time `json:"fetched"`
	Fresh   time.Time `json:"fresh"`
}

// withDocument sets the client of a request, and the document if the client has no record.
func (q *AuthorizationRequest) withDocument(c storage.Client, body []byte) {
	q.Registered, q.Client, q.Document = c, c.ID, nil
	if body != nil {
		q.Document = &StoredDocument{body, c.Document.Fetched, c.Document.Fresh}
	}
}

// record returns the client under which the request is stored. A client without a record cannot
// have any.
func (q *AuthorizationRequest) record() string {
	if q.Document != nil {
		return ""
	}
	return q.Client
}

// documentOf returns the client that the document in a stored request describes, or nil.
func (s *Server) documentOf(q AuthorizationRequest) *documentClient {
	if q.Document == nil || !s.isDocument(q.Client) {
		return nil
	}
	c, err := s.documents.parse(q.Client, q.Document.Body) // again, because the options may have changed
	if err != nil {
		return nil
	}
	c.Document = storage.ClientDocument{Fetched: q.Document.Fetched, Fresh: q.Document.Fresh, Changed: q.Document.Fetched}
	return &documentClient{c, q.Document.Body}
}

// RecordClient stores the client of a request that has none yet: one with a client ID metadata
// document, which a user allows for the first time. For other clients it does nothing. Call it in
// the transaction in which the approval is stored, before the client is used.
//
// If the client was disabled or changed meanwhile so that the request is not valid, the error is an
// *oauth2.Error for a page. Any other error is a server error.
func (s *Server) RecordClient(ctx context.Context, q *AuthorizationRequest) error {
	if q.Document == nil {
		return nil
	}
	c := q.Registered
	c.Created = s.now()
	err := s.store.CreateClient(ctx, c)
	switch {
	case err == nil:
		s.Notify(ctx, audit.Event{Kind: audit.ClientCreated, Reason: "document", Client: c.ID})
	case errors.Is(err, storage.ErrConflict): // concurrently allowed by another user
		if c, err = s.store.ClientByID(ctx, q.Client); err != nil {
			return err
		}
	default:
		return err
	}
	q.withDocument(c, nil)
	if c.Disabled || !s.addressed(q) {
		return errDropped
	}
	return nil
}

// updateFromDocument replaces the record of a client by what its document says now. If the
// authentication method changed, all grants of the client end: whoever can write the document could
// otherwise take over the grants of a confidential client.
func (s *Server) updateFromDocument(ctx context.Context, next storage.Client) (c storage.Client, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		had, err := s.store.ClientByID(ctx, next.ID)
		if err != nil {
			return err
		}
		if c = had; !had.FromDocument() || had.Disabled || had.Document.Fetched.After(next.Document.Fetched) {
			return nil // changed concurrently
		}
		c = next
		c.Created, c.Revoked, c.LogoutURIs, c.Default = had.Created, had.Revoked, had.LogoutURIs, had.Default
		c.AccessTTL, c.RefreshTTL, c.AbsoluteTTL, c.RequirePushed = had.AccessTTL, had.RefreshTTL, had.AbsoluteTTL, had.RequirePushed || next.RequirePushed
		c.Default = slices.DeleteFunc(slices.Clone(c.Default), func(name string) bool { return !slices.Contains(c.Scopes, name) })
		changed := had.Method != c.Method || !had.Document.Changed.Equal(c.Document.Changed)
		if had.Method != c.Method {
			off := c
			off.Disabled = true // which revokes everything
			if err := s.store.UpdateClient(ctx, off); err != nil {
				return err
			}
		}
		if err := s.store.UpdateClient(ctx, c); err != nil {
			return err
		}
		if c, err = s.store.ClientByID(ctx, c.ID); err != nil { // with its new Revoked
			return err
		}
		if changed {
			s.Notify(ctx, audit.Event{Kind: audit.ClientChanged, Reason: "document", Client: c.ID})
		}
		return nil
	})
	return c, err
}

// checkAlone checks the parameters of a request that need no client, before a document is fetched
// for it.
func (s *Server) checkAlone(v url.Values) error {
	switch {
	case v.Has("request"), v.Has("request_uri"), v.Get("response_type") != "code":
		return oauth2.PageError("The response_type is not code, or the request is not in the parameters themselves.")
	case v.Get("code_challenge_method") != "S256" || !syntax.IsSHA256(v.Get("code_challenge")):
		return oauth2.OnPage(errNoChallenge)
	case len(v.Get("state")) > MaxState || len(v.Get("nonce")) > storage.MaxIDBytes:
		return oauth2.PageError("The state or the nonce is too long.")
	case v.Has("redirect_uri") && oauth2.CheckRedirect(v.Get("redirect_uri"), true) != nil:
		return oauth2.PageError("The redirect_uri cannot be one of a client.")
	}
	if _, err := s.scopesOf(v.Get("scope"), s.documents.opts.Scopes, nil); err != nil {
		return oauth2.OnPage(err)
	}
	return nil
}

// DocumentHost returns the host of the client ID metadata document of a client, with its port if it
// has one.
func DocumentHost(c storage.Client) string { return clientdoc.Host(c.ID) }
