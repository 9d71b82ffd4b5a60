package gormstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// A caller that leaves when the account is gone leaves nothing of it behind: what has no expiry would
// stay for ever.
func TestDeletedForACallerThatLeft_attack_333(t *testing.T) {
	leave := func() {}
	s := openCounting(t, new(atomic.Int64), func(query string) error {
		if query == "COMMIT" {
			leave()
		}
		return nil
	})
	furnish(t, s)
	epoch, err := s.SubjectEpoch(t.Context(), "1")
	if err == nil {
		err = s.InTx(t.Context(), func(ctx context.Context) error {
			for i := range many {
				id := fmt.Sprint("token ", i)
				if _, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(id), ID: id, Subject: "1", Epoch: epoch}, storage.CredentialLimit{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, leave = context.WithCancel(t.Context())
	defer leave()
	if err := s.DeleteUser(ctx, "1"); err != nil || ctx.Err() == nil {
		t.Fatalf("%v; left: %v", err, ctx.Err())
	}
	var left int64
	if err := s.DB(t.Context()).Raw("SELECT COUNT(*) FROM vestibule_device_tokens").Scan(&left).Error; err != nil || left != 0 {
		t.Errorf("%d tokens are left, %v", left, err)
	}
}
