package storagetest_test

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// unlinksOnly deletes links, but the epoch of the account stays.
type unlinksOnly struct{ *memory.Store }

func (s *unlinksOnly) SubjectEpoch(context.Context, string) (int64, error) { return 0, nil }

// relinks gives a user of an issuer to the last account that asks.
type relinks struct{ *memory.Store }

func (s *relinks) CreateLink(ctx context.Context, l storage.Link, epoch int64) error {
	if old, _, err := s.LinkOf(ctx, l.Issuer, l.Foreign); err == nil {
		if err := s.DeleteLink(ctx, old.Subject, old.ID); err != nil {
			return err
		}
	}
	return s.Store.CreateLink(ctx, l, epoch)
}
