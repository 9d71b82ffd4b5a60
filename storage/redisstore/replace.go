package redisstore

import (
	"context"
	_ "embed"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/storage"
)

//go:embed carry.lua
var carrySource string

var carryScript = newScript(carrySource)

// isVersion returns an error unless the content of a session has the version.
func (s *Sessions) isVersion(ctx context.Context, d storage.Digest, version int64) error {
	cmd := redis.NewSliceCmd(ctx, "hmget", s.key(d), fieldVersion, fieldSeen, fieldExpires)
	if err := s.s.call(ctx, cmd); err != nil {
		return named("CreateSession", err)
	}
	var v storage.Session
	if err := overlay(&v, cmd.Val()); err != nil || v.Version == version {
		return err
	}
	// Content can outlive its row.
	if _, _, err := s.base.SessionByDigest(ctx, d); err != nil {
		return err
	}
	return storage.ErrConflict
}

// carry deletes the content of a session that was replaced. Another request can have saved it after
// its version was checked and before the database replaced it. The new session then gets that data.
// Nobody knows the new session's cookie yet, so its data cannot have changed. Later saves of the old
// session find no row.
//
// An error does not matter: the sessions are what the database says, and content expires.
func (s *Sessions) carry(ctx context.Context, from storage.Digest, version int64, to storage.Digest) {
	ctx = context.WithoutCancel(ctx)
	if s.inTransaction(ctx) { // a rollback would bring the row back
		return
	}
	cmd, err := s.s.run(ctx, "CreateSession", carryScript, []string{s.key(from)}, nil)
	if err != nil {
		return
	}
	found, err := cmd.Slice()
	if err != nil || len(found) != 2 || found[0] == nil || found[0] == strconv.FormatInt(version, 10) {
		return
	}
	_, _ = s.s.run(ctx, "CreateSession", saveScript, []string{s.key(to)}, []any{1, 1, found[1]})
}

func (s *Sessions) inTransaction(ctx context.Context) bool {
	tx, ok := s.base.(interface{ InTransaction(context.Context) bool })
	return ok && tx.InTransaction(ctx)
}
