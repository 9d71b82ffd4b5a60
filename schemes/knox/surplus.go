package knox

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// NoLimit, as a Limit, lets a user have any number of tokens.
const NoLimit = credential.NoLimit

const (
	// defaultLimit is how many tokens a user has after a login if Options.Limit is 0.
	defaultLimit = 1000
	// backlog is how many more are looked at, and expired how many expired ones a login removes.
	backlog, expired = 100, 10
	// dropTimeout bounds the removal, which a client that leaves does not stop.
	dropTimeout = 5 * time.Second
)

// surplus removes the user's oldest tokens after a login, if there are more than the default
// limit. It is no reason to refuse the login: what fails is removed by a later one.
//
// This is not storage.CredentialLimit, with which every login would count as a change of the user's
// other tokens, for every cache.
func (s *Scheme) surplus(ctx context.Context, made storage.Credential) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	list, err := s.store.ListCredentials(ctx, Purpose, made.Subject, defaultLimit+backlog)
	remove := func(f func(ctx context.Context, subject, id string) error, t storage.Credential) {
		if err != nil {
			return
		}
		if err = f(ctx, t.Subject, t.ID); errors.Is(err, storage.ErrNotFound) { // somebody else did
			err = nil
		}
	}
	var dead []storage.Credential
	live := 1                // the one that was made
	for _, t := range list { // the last created first
		switch {
		case t.ID == made.ID:
		case t.Expired(made.Created):
			dead = append(dead, t)
		default:
			if live++; live > defaultLimit {
				remove(s.evict, t)
			}
		}
	}
	if len(list) > defaultLimit { // nothing else removes expired tokens before storage.Pruner does
		for _, t := range dead[max(0, len(dead)-expired):] {
			remove(s.drop, t)
		}
	}
	if err != nil {
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "old tokens not revoked", slog.String("scheme", s.Name()), slog.String("subject", made.Subject), slog.Any("error", err))
	}
}

func (s *Scheme) evict(ctx context.Context, subject, id string) error {
	return s.revoke(ctx, subject, id, audit.TokenEvicted)
}

func (s *Scheme) drop(ctx context.Context, subject, id string) error {
	return s.store.DeleteCredential(ctx, Purpose, subject, id)
}
