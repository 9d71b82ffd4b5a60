package gormstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

var _ storage.AuditLog = (*Store)(nil)

const (
	insertAudit = "INSERT INTO vestibule_audit (id, us, kind, subject, client, event) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	listAudit   = "SELECT id, us, kind, subject, client, event FROM vestibule_audit WHERE id > ? ORDER BY id LIMIT ?"
)

// AppendAudit implements storage.AuditLog.
func (s *Store) AppendAudit(ctx context.Context, records ...storage.AuditRecord) error {
	for i := range records {
		if err := records[i].Check(); err != nil {
			return err
		}
	}
	one := func(ctx context.Context) error {
		for _, r := range records {
			n, err := s.exec(ctx, s.dialect.bind(insertAudit), r.ID, r.Time.UnixMicro(), r.Kind, r.Subject, r.Client, string(r.Event))
			switch {
			case err != nil:
				return err
			case n == 0:
				return storage.ErrConflict
			}
		}
		return nil
	}
	if len(records) == 1 || s.tx(ctx) != nil {
		return one(ctx)
	}
	return s.atomically(ctx, one)
}

// AuditAfter implements storage.AuditLog.
func (s *Store) AuditAfter(ctx context.Context, after string, limit int) (list []storage.AuditRecord, err error) {
	err = s.rows(ctx, s.dialect.bind(listAudit), []any{after, limit}, func(rows *sql.Rows) error {
		var r storage.AuditRecord
		var us int64
		var event string
		err := rows.Scan(&r.ID, &us, &r.Kind, &r.Subject, &r.Client, &event)
		r.Time, r.Event = time.UnixMicro(us).UTC(), []byte(event)
		list = append(list, r)
		return err
	})
	return list, err
}

// PruneAudit implements storage.AuditLog. It deletes at most 500 records in one statement.
func (s *Store) PruneAudit(ctx context.Context, before time.Time, limit int) (total int, err error) {
	query := s.dialect.expired("vestibule_audit", "id", "us", "TRUE", "DELETE FROM vestibule_audit")
	at := before.UnixMicro() - 1 // expired includes what is not later
	for total < limit {
		var n int64
		err := s.atomically(ctx, func(ctx context.Context) (err error) {
			n, err = s.exec(ctx, query, at, min(limit-total, pruneBatch))
			return err
		})
		if err != nil {
			return total, err
		}
		if total += s.pruned("vestibule_audit", n); n == 0 {
			break
		}
	}
	return total, nil
}
