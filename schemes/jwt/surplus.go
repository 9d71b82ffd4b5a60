package jwt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// NoLimit, as MaxLogins, lets a user have any number of logins.
const NoLimit = -1

const (
	// defaultMax is Options.MaxLogins if it is 0, backlog how many more a login ends at once.
	defaultMax, backlog = 1000, 100
	// dropTimeout bounds what a client that leaves does not stop.
	dropTimeout = 5 * time.Second
)

// surplus revokes the oldest logins of a user, if there are more than Options.MaxLogins. A failure
// does not reject the login with the ID keep: a later login tries again.
func (s *Scheme) surplus(ctx context.Context, subject, keep string) {
	if s.opts.MaxLogins == NoLimit {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	list, err := s.List(ctx, subject, s.opts.MaxLogins+backlog) // the last created first
	list = slices.DeleteFunc(list, func(f storage.Family) bool { return f.ID == keep })
	for _, f := range list[min(s.opts.MaxLogins-1, len(list)):] {
		if err = s.rotator.EndFamily(ctx, f.ID); errors.Is(err, storage.ErrNotFound) { // pruned
			err = nil
			continue
		}
		if err != nil {
			break
		}
		s.notify(ctx, audit.TokenEvicted, f)
	}
	if err != nil {
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "old logins not revoked", slog.String("scheme", s.Name()), slog.String("subject", subject), slog.Any("error", err))
	}
}
