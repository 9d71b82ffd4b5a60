package cached

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

var _ storage.AuditLog = (*Store)(nil)

var errNoAudit = errors.New("cached: the store does not implement storage.AuditLog")

// auditLog returns the log of the underlying store.
func (s *Store) auditLog() (storage.AuditLog, error) {
	if l, ok := s.base.(storage.AuditLog); ok {
		return l, nil
	}
	if p, ok := s.base.(*partial); ok {
		if l, ok := p.tx.(storage.AuditLog); ok { // the store with transactions
			return l, nil
		}
	}
	return nil, errNoAudit
}

// KeepsAudit reports whether the underlying store implements storage.AuditLog.
func (s *Store) KeepsAudit() bool {
	_, err := s.auditLog()
	return err == nil
}

// AppendAudit implements storage.AuditLog. It returns an error if the underlying store does not.
func (s *Store) AppendAudit(ctx context.Context, records ...storage.AuditRecord) error {
	l, err := s.auditLog()
	if err != nil {
		return err
	}
	return l.AppendAudit(ctx, records...)
}

// AuditAfter implements storage.AuditLog. It returns an error if the underlying store does not.
func (s *Store) AuditAfter(ctx context.Context, after string, limit int) ([]storage.AuditRecord, error) {
	l, err := s.auditLog()
	if err != nil {
		return nil, err
	}
	return l.AuditAfter(ctx, after, limit)
}

// PruneAudit implements storage.AuditLog. It returns an error if the underlying store does not.
func (s *Store) PruneAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	l, err := s.auditLog()
	if err != nil {
		return 0, err
	}
	return l.PruneAudit(ctx, before, limit)
}
