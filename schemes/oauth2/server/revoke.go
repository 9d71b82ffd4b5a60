package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Revoke returns the revocation endpoint (RFC 7009). It accepts a POST of a form with "token". The
// response is 200 whether or not the token existed. Revoking an access or refresh token of a grant
// revokes the whole grant. A token of another client stays valid. After a store failure the
// response is 503, and the token is still valid. "token_type_hint" is ignored.
func (s *Server) Revoke() http.Handler {
	return s.CORS("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.revoke(w, r); err != nil {
			s.fail(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
	}))
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	c, text, err := s.tokenRequest(w, r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	switch {
	case !refreshFormat.HasPrefix(text):
		return s.revokeAccess(ctx, c, text)
	case refreshFormat.Valid(text):
		err := s.Change(ctx, func(ctx context.Context) error {
			st, err := s.rotator.Revoke(ctx, rotation.Use{Secret: text, Purpose: s.purpose, Client: c.ID})
			if err == nil && !st.Family.Ended && s.Now().Before(st.Family.Expires) { // otherwise nothing was revoked
				s.Notify(ctx, about(audit.TokenRevoked, st.Family))
			}
			return err
		})
		switch {
		case errors.Is(err, rotation.ErrMismatch):
			s.otherClient(ctx, c)
			return nil
		case errors.Is(err, rotation.ErrUnknown):
			return nil
		}
		return err
	}
	return nil
}

func (s *Server) revokeAccess(ctx context.Context, c storage.Client, text string) error {
	st, err := s.api.Lookup(ctx, text)
	a := st.Access
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return err
	case a.Client != c.ID:
		s.otherClient(ctx, c)
		return nil
	case s.dead(&st): // write nothing, because anyone can send such a token repeatedly
		return nil
	}
	return s.Change(ctx, func(ctx context.Context) (err error) {
		switch {
		case a.Family != "" && len(a.Actors) == 0: // the grant belongs to another client than the actor
			err = s.rotator.EndFamily(ctx, a.Family)
		case a.Digest.IsZero(): // a signed token is blocked until it has expired everywhere
			err = s.store.Block(ctx, a.Expires.Add(oauth2.Leeway), storage.BlockKeyOf(storage.BlockJTI, s.issuer, a.ID))
		default:
			if err = s.store.DeleteAccess(ctx, a.Digest); errors.Is(err, storage.ErrNotFound) {
				err = nil // it was revoked concurrently
			}
		}
		if err == nil {
			s.Notify(ctx, audit.Event{Kind: audit.TokenRevoked, Client: a.Client, Subject: a.Subject, Credential: a.ID, Family: a.Family, Epoch: a.Epoch})
		}
		return err
	})
}

// otherClient reports that a client tried to revoke a token of another client. Nothing changes.
func (s *Server) otherClient(ctx context.Context, c storage.Client) {
	s.Notify(ctx, audit.Event{Kind: audit.CredentialRejected, Reason: reasonOtherClient, Client: c.ID})
}

// dead reports whether there is nothing left to revoke. An expired token of an active grant still
// revokes the grant. A signed token without a grant is accepted by other services until its expiry
// plus the leeway.
func (s *Server) dead(st *storage.AccessState) bool {
	a := &st.Access
	switch {
	case st.Ended || a.Subject != "" && !st.User.Active || a.Epoch != st.User.Epoch:
		return true
	case a.Family != "" && len(a.Actors) == 0:
		return false
	case a.Digest.IsZero():
		return a.Expired(s.now().Add(-oauth2.Leeway))
	}
	return a.Expired(s.now())
}

// tokenRequest reads a request about one token, and authenticates its client.
func (s *Server) tokenRequest(w http.ResponseWriter, r *http.Request) (storage.Client, string, error) {
	f, err := oauth2.ReadForm(w, r)
	if err != nil {
		return storage.Client{}, "", err
	}
	c, err := s.client(r, f)
	if err != nil {
		return storage.Client{}, "", err
	}
	text := f.Get("token")
	if text == "" {
		return storage.Client{}, "", oauth2.NewError("invalid_request", "The token is missing.")
	}
	return c, text, nil
}
