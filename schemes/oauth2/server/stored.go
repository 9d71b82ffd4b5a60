package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// pushedRequest returns the request that a client pushed.
func (s *Server) pushedRequest(ctx context.Context, q AuthorizationRequest, uri string, from netip.Addr) (AuthorizationRequest, error) {
	text := strings.TrimPrefix(uri, requestURI)
	unknown := oauth2.OnPage(oauth2.NewError("invalid_request_uri", "The request_uri is unknown, was used, or has expired."))
	if !parFormat.Valid(text) {
		return q, unknown
	}
	d := storage.DigestOf(text)
	a, err := s.store.AuthRequestByDigest(ctx, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return q, unknown
	case err != nil:
		return q, err
	case a.Purpose != purposePushed || a.Client != q.Client && a.Client != "" || a.Expired(s.now()) || storage.Ahead(s.now(), a.Created):
		return q, unknown
	}
	was := q
	if err := json.Unmarshal(a.Data, &q); err != nil {
		return q, err
	}
	if q.Client != was.Client {
		return was, unknown
	}
	if was.Registered.ID == "" { // a client with a document
		c, body, err := s.clientOfRequest(ctx, q.Client, from, s.documentOf(q), nil)
		switch {
		case errors.Is(err, storage.ErrNotFound), err == nil && c.Disabled:
			return was, errNoClient
		case err != nil:
			return was, err
		}
		q.withDocument(c, body)
	} else {
		q.withDocument(was.Registered, nil)
	}
	q.Pushed, q.PushedAt, q.Spends = d, a.Created, d[:]
	switch used, err := s.store.Used(ctx, pushedKey(d)); {
	case err != nil:
		return q, err
	case used:
		return was, unknown
	}
	if !s.addressed(&q) {
		return q, oauth2.PageError("The redirect_uri is no longer registered.")
	}
	return q, s.resume(&q)
}

// ContinueRequest returns a stored request of a client. The error is an *oauth2.Error for a page if
// the client was deleted or disabled, or has lost the redirect URI, the grant type or a resource of
// the request. Any other error is a server error. Scopes that the client or the server has lost are
// removed.
func (s *Server) ContinueRequest(ctx context.Context, client string, data []byte) (q AuthorizationRequest, err error) {
	if err := json.Unmarshal(data, &q); err != nil {
		return q, err
	}
	copy(q.Pushed[:], q.Spends)
	if client == "" { // it had no record
		client = q.Client
	}
	c, body, err := s.clientOfRequest(ctx, client, storage.ClientAddr(ctx), s.documentOf(q), nil)
	if err == nil {
		q.withDocument(c, body)
	}
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && (c.Disabled || !s.addressed(&q)):
		return q, errNoClient
	case err != nil:
		return q, err
	}
	return q, oauth2.OnPage(s.resume(&q))
}

// resume checks again what the client of a stored request may do, because for an implicit grant
// nothing else does, and removes the scopes that the client may no longer have.
func (s *Server) resume(q *AuthorizationRequest) error {
	grant := oauth2.AuthorizationCode
	if q.Implicit {
		grant = oauth2.Implicit
	}
	q.Resource = s.orOwn(q.Resource)
	switch {
	case q.Implicit && !s.opts.InsecureImplicitGrant:
		return errResponseType
	case !slices.Contains(q.Registered.Grants, grant):
		return errUnauthorized
	case !q.Implicit && q.Challenge == "" && !s.mayOmitPKCE(q.Registered):
		return errNoChallenge
	case len(s.stillNames(q.Resource, q.Registered)) < len(q.Resource):
		return errTarget.WithCause(errors.New("client has lost a resource since the request"))
	}
	q.Scopes = s.stillAllowed(q.Scopes, q.Registered)
	return nil
}

// addressed sets the URL to which the response to a stored request is sent, and reports whether it
// is still registered for the client.
func (s *Server) addressed(q *AuthorizationRequest) bool {
	q.To = q.RedirectURI
	if q.To == "" && len(q.Registered.RedirectURIs) == 1 {
		q.To = q.Registered.RedirectURIs[0]
	}
	return s.matches(q.Registered, q.To)
}

// spentFor is how long a used request is remembered: longer than a page that shows it can be
// answered.
const spentFor = time.Hour

func pushedKey(d storage.Digest) storage.BlockKey {
	return storage.BlockKeyOf(storage.ReplayPushed, "", string(d[:]))
}

// SpendRequest uses up a pushed request, in the transaction that stores the decision about it. For
// other requests it does nothing. It returns storage.ErrConflict if the request was used before:
// the same request can be open in several pages, and one of them decides. Any other error is a
// server error.
func (s *Server) SpendRequest(ctx context.Context, q AuthorizationRequest) error {
	if q.Pushed.IsZero() {
		return nil
	}
	now := s.now()
	if err := s.store.ConsumeJTI(ctx, pushedKey(q.Pushed), now, now.Add(spentFor)); err != nil {
		return err
	}
	if err := s.store.ConsumeAuthRequest(ctx, q.Pushed); err != nil && !errors.Is(err, storage.ErrNotFound) { // it may have expired
		return err
	}
	return nil
}
