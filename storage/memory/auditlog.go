package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

var _ storage.AuditLog = (*Store)(nil)

// AppendAudit implements storage.AuditLog.
func (s *Store) AppendAudit(ctx context.Context, records ...storage.AuditRecord) error {
	for i := range records {
		if err := records[i].Check(); err != nil {
			return err
		}
	}
	return s.write(ctx, func(t *tx) error {
		for _, r := range records {
			if _, taken := s.audited[r.ID]; taken {
				return storage.ErrConflict
			}
			r.Time, r.Event = r.Time.UTC().Truncate(time.Microsecond), bytes.Clone(r.Event)
			put(t, s.audited, r.ID, r)
		}
		return nil
	})
}

// AuditAfter implements storage.AuditLog.
func (s *Store) AuditAfter(ctx context.Context, after string, limit int) (list []storage.AuditRecord, err error) {
	err = s.read(ctx, func() error {
		for _, id := range slices.Sorted(maps.Keys(s.audited)) {
			if len(list) >= limit {
				break
			}
			if id > after {
				r := s.audited[id]
				r.Event = bytes.Clone(r.Event)
				list = append(list, r)
			}
		}
		return nil
	})
	return list, err
}

// PruneAudit implements storage.AuditLog.
func (s *Store) PruneAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.count(ctx, func(t *tx) (n int) {
		old := slices.SortedFunc(maps.Values(s.audited), func(a, b storage.AuditRecord) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
		for _, r := range old {
			if n >= limit || !r.Time.Before(before) {
				break
			}
			drop(t, s.audited, r.ID)
			n++
		}
		return n
	})
}
