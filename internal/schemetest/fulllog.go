package schemetest

import (
	"context"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// FullLog is a store whose log of events fails while Full is set.
type FullLog struct {
	*memory.Store
	Full bool
}

// AppendAudit implements storage.AuditLog.
func (s *FullLog) AppendAudit(ctx context.Context, records ...storage.AuditRecord) error {
	if s.Full {
		return errors.New("no space left on device")
	}
	return s.Store.AppendAudit(ctx, records...)
}
