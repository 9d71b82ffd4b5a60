package gormstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// An ID column that compares without case: another spelling of an ID is no account, and nothing
// is changed under it. Else the account would have a new password, or be disabled or deleted,
// and all its credentials would live on.
func TestOtherSpellingsOfAnID_attack_276(t *testing.T) {
	for kind, column := range map[string]string{"sqlite": "TEXT PRIMARY KEY COLLATE NOCASE", "postgres": "CITEXT PRIMARY KEY"} {
		t.Run(kind, func(t *testing.T) {
			ctx := t.Context()
			s := ownTable(t, kind, column, "TEXT UNIQUE NOT NULL")
			const other = "ALICE"
			f := storage.Family{ID: "f", Purpose: "p", Subject: other}
			for name, x := range map[string]struct {
				do   func(context.Context) error
				want error
			}{
				"SetPassword":    {func(ctx context.Context) error { return s.SetPassword(ctx, other, "new") }, storage.ErrNotFound},
				"ChangePassword": {func(ctx context.Context) error { return s.ChangePassword(ctx, other, 0, "new") }, storage.ErrNotFound},
				"ReplaceHash":    {func(ctx context.Context) error { return s.ReplaceHash(ctx, other, "old", "new") }, storage.ErrNotFound},
				"SetActive":      {func(ctx context.Context) error { return s.SetActive(ctx, other, false) }, storage.ErrNotFound},
				"DeleteUser":     {func(ctx context.Context) error { return s.DeleteUser(ctx, other) }, storage.ErrNotFound},
				"BumpEpoch":      {func(ctx context.Context) error { _, err := s.BumpEpoch(ctx, other); return err }, storage.ErrNotFound},
				"logout":         {func(ctx context.Context) error { _, err := storage.LogoutEverywhere(ctx, s, other); return err }, storage.ErrNotFound},
				"CreateFamily": {func(ctx context.Context) error {
					return s.CreateFamily(ctx, f, storage.Refresh{Digest: storage.DigestOf("x")})
				}, storage.ErrStale},
			} {
				if err := x.do(ctx); !errors.Is(err, x.want) {
					t.Errorf("%s: %v, want %v", name, err, x.want)
				}
				if err := s.InTx(ctx, func(ctx context.Context) error { _ = x.do(ctx); return nil }); err != nil {
					t.Errorf("%s in a transaction: %v", name, err)
				}
				if u, err := s.UserByID(ctx, "alice"); err != nil || u.Password != "old" || !u.Active || u.Epoch != 0 {
					t.Errorf("after %s: hash %q, active %t, epoch %d, %v", name, string(u.Password), u.Active, u.Epoch, err)
				}
			}
			if err := errors.Join(s.SetPassword(ctx, "alice", "new"), s.SetActive(ctx, "alice", false), s.DeleteUser(ctx, "alice")); err != nil {
				t.Errorf("under its own spelling: %v", err)
			}
		})
	}
}
