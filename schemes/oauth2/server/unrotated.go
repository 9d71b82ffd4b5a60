package server

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// unrotated returns a name of the client's keys if the refresh token of a new grant need not be
// rotated, and "" otherwise. A stolen token is useless then: each refresh requires an assertion by
// the client's private key, and a proof (FAPI 2.0, section 5.3.2.1).
func (s *Server) unrotated(x exchange) string {
	if !s.opts.FAPI2 || x.key == "" || x.client.Method != oauth2.PrivateKeyJWT {
		return ""
	}
	d := storage.DigestOf(x.client.Method + "\n" + x.client.KeysURI + "\n" + string(x.client.Keys))
	return base64.RawURLEncoding.EncodeToString(d[:15])
}

// renew issues tokens for a refresh token that is not rotated. It returns false for other refresh
// tokens, and for those that are not valid.
func (s *Server) renew(ctx context.Context, x exchange, use rotation.Use) (a tokenResponse, done bool, err error) {
	st, err := s.rotator.Inspect(ctx, use)
	f := st.Family
	mark := dataOf(f).Unrotated
	if err != nil || mark == "" || !s.issued(f) {
		return a, false, nil
	}
	if x.client.Method != oauth2.PrivateKeyJWT || x.key != "" && mark != s.unrotated(x) { // registered anew since the grant
		err := s.Change(ctx, func(ctx context.Context) error {
			e := about(audit.TokenRevoked, f)
			e.Reason = "client keys changed"
			s.Notify(ctx, e)
			return s.rotator.EndFamily(ctx, f.ID)
		})
		if err == nil {
			err = errGrant.WithCause(errors.New("the client's keys or method changed since the grant"))
		}
		return a, true, err
	}
	if x.key == "" {
		return a, true, errGrant.WithCause(errors.New("a refresh token that is not rotated requires a proof"))
	}
	scopes, resource, err := s.narrowed(x, f)
	if err != nil {
		return a, true, err
	}
	if err := s.verifyProof(ctx, x.proof); err != nil {
		return a, true, err
	}
	narrow := f
	narrow.Scopes, narrow.Resource = scopes, resource
	p, err := s.claims(ctx, st.User, narrow)
	if err != nil {
		return a, true, err
	}
	err = s.InTx(ctx, func(ctx context.Context) error {
		f := f
		f.Scopes, f.Resource, f.Confirm = scopes, resource, x.key
		if a, err = s.access(ctx, f, x.client, p.access); err != nil {
			return err
		}
		if a.ID, err = s.idToken(ctx, Grant{Family: f, Claims: p.id, Access: a.Access}); err != nil {
			return err
		}
		s.Notify(ctx, about(audit.RefreshSucceeded, f))
		return nil
	})
	if errors.Is(err, storage.ErrStale) { // revoked concurrently
		err = errGrant.WithCause(err)
	}
	a.Refresh = use.Secret
	return a, true, err
}
