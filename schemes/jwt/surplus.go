package jwt

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

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

// surplus ends the oldest logins of a user, if there are more than Options.MaxLogins. It is no
// reason to refuse the login with the ID keep: what fails is ended by a later one.
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
		s.tell(ctx, Event{Evicted, subject, f.ID})
	}
	if err != nil {
		s.logger().LogAttrs(ctx, slog.LevelWarn, "old logins were not ended", slog.String("scheme", s.Name()), slog.String("subject", subject), slog.Any("error", err))
	}
}
