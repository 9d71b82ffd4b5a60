package jwt

import (
	"context"
	"errors"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/storage"
)

// Revoke revokes the login of a refresh token, with its access tokens, even if the refresh token
// was already exchanged. An unknown, expired or revoked token is not an error (RFC 7009, section
// 2.2). A text that is not a refresh token returns the 401 of [Scheme.Refresh]. After any other
// error, nothing was revoked.
func (s *Scheme) Revoke(ctx context.Context, refresh string) error {
	_, err := s.revoke(ctx, refresh)
	return err
}

// revoke is Revoke. It also returns the subject, or "" if the token is unknown.
func (s *Scheme) revoke(ctx context.Context, refresh string) (subject string, err error) {
	use, err := s.use(ctx, refresh)
	if err != nil {
		return "", err
	}
	var st storage.RefreshState
	err = s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) (err error) {
		st, err = s.rotator.Revoke(ctx, use)
		if err == nil && !st.Family.Ended && s.opts.Clock().Before(st.Family.Expires) { // otherwise it had already ended
			s.notify(ctx, audit.Logout, st.Family)
		}
		return err
	})
	if errors.Is(err, rotation.ErrUnknown) {
		return "", nil
	}
	if err != nil {
		return "", s.refusal(err)
	}
	return st.Family.Subject, nil
}

// List returns up to limit logins of the subject, the most recently created first.
func (s *Scheme) List(ctx context.Context, subject string, limit int) ([]storage.Family, error) {
	return s.store.ListFamilies(ctx, s.purpose, subject, storage.FamilyPlace{}, limit)
}

// RevokeFamily revokes the subject's login with that ID. It returns [storage.ErrNotFound] if the
// subject has no such login.
func (s *Scheme) RevokeFamily(ctx context.Context, subject, id string) error {
	f, err := s.store.FamilyByID(ctx, s.purpose, subject, id)
	if err != nil {
		return err
	}
	return s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
		err := s.rotator.EndFamily(ctx, id)
		if err == nil {
			s.notify(ctx, audit.TokenRevoked, f)
		}
		return err
	})
}
