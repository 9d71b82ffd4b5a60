package jwt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// NoLimit, as MaxLogins, means no limit.
const NoLimit = credential.NoLimit

// defaultMax is the default of Options.MaxLogins.
const defaultMax = 1000

// surplus revokes the oldest logins of a user if there are more than Options.MaxLogins. An error
// does not reject the login keep; a later login tries again.
func (s *Scheme) surplus(ctx context.Context, subject, keep string) {
	err := credential.EndSurplus(ctx, s.opts.MaxLogins,
		func(ctx context.Context) (int, error) {
			n, err := s.store.CountFamilies(ctx, s.purpose, subject)
			return n.Total, err
		},
		func(ctx context.Context, limit int) ([]storage.Family, error) { return s.List(ctx, subject, limit) }, // the most recently created first
		func(f storage.Family) bool { return f.ID == keep },
		func(ctx context.Context, f storage.Family) error {
			err := s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
				err := s.rotator.EndFamily(ctx, f.ID)
				if err == nil {
					s.notify(ctx, audit.TokenEvicted, f)
				}
				return err
			})
			if errors.Is(err, storage.ErrNotFound) { // pruned
				return nil
			}
			return err
		})
	if err != nil {
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "old logins not revoked", slog.String("scheme", s.Name()), slog.String("subject", subject), slog.Any("error", err))
	}
}
