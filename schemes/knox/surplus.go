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

// NoLimit as Options.Limit allows any number of tokens per user.
const NoLimit = credential.NoLimit

const (
	// defaultLimit is the number of tokens that a user keeps at a login if Options.Limit is 0.
	defaultLimit = 1000
	// backlog is how many tokens beyond the limit are read. expired is how many expired tokens a
	// login removes.
	backlog, expired = 100, 10
	// dropTimeout limits the time for the removal, which continues if the client disconnects.
	dropTimeout = 5 * time.Second
)

// surplus removes the user's oldest tokens after a login, if there are more than defaultLimit. A
// failure does not reject the login, because a later login removes the tokens.
//
// It does not use storage.CredentialLimit, because caches would then treat every login as a change
// of the user's other tokens.
func (s *Scheme) surplus(ctx context.Context, made storage.Credential) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	list, err := s.tooMany(ctx, made.Subject)
	remove := func(f func(ctx context.Context, subject, id string) error, t storage.Credential) {
		if err != nil {
			return
		}
		if err = f(ctx, t.Subject, t.ID); errors.Is(err, storage.ErrNotFound) { // another request has removed it
			err = nil
		}
	}
	var dead []storage.Credential
	live := 1                // the new token
	for _, t := range list { // newest first
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
	if len(list) > defaultLimit { // otherwise only storage.Pruner removes expired tokens
		for _, t := range dead[max(0, len(dead)-expired):] {
			remove(s.drop, t)
		}
	}
	if err != nil {
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "old tokens not revoked", slog.String("scheme", s.Name()), slog.String("subject", made.Subject), slog.Any("error", err))
	}
}

// tooMany lists the subject's tokens, the newest first, if there can be more than defaultLimit.
func (s *Scheme) tooMany(ctx context.Context, subject string) ([]storage.Credential, error) {
	if c, ok := s.store.(storage.CredentialCount); ok {
		if n, err := c.CountCredentials(ctx, Purpose, subject); err != nil || n <= defaultLimit {
			return nil, err
		}
	}
	return s.store.ListCredentials(ctx, Purpose, subject, defaultLimit+backlog)
}

func (s *Scheme) evict(ctx context.Context, subject, id string) error {
	return s.revoke(ctx, subject, id, audit.TokenEvicted)
}

func (s *Scheme) drop(ctx context.Context, subject, id string) error {
	return s.store.DeleteCredential(ctx, Purpose, subject, id)
}
