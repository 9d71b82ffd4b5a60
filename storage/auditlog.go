package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// AuditRecord is an audit event in a store. Package audit creates them; see audit.Options.Required.
type AuditRecord struct {
	// ID is a UUID of version 7, so records sort by time.
	ID   string
	Time time.Time
	// Kind is the kind of the event, such as "token.revoked". Subject and Client can be "".
	Kind, Subject, Client string
	// Event is the whole event as JSON, at most MaxAuditBytes.
	Event []byte
}

// MaxAuditBytes is the maximum size of AuditRecord.Event. Events of package audit are smaller.
const MaxAuditBytes = 16 << 10

// Check returns ErrInvalid unless the record can be stored.
func (r *AuditRecord) Check() error {
	if err := CheckID("audit ID", r.ID); err != nil {
		return err
	}
	if err := CheckID("audit kind", r.Kind); err != nil {
		return err
	}
	for _, s := range [...]string{r.Subject, r.Client} {
		if s == "" {
			continue
		}
		if err := CheckID("audit subject or client", s); err != nil {
			return err
		}
	}
	if r.Time.IsZero() || len(r.Event) > MaxAuditBytes || !json.Valid(r.Event) {
		return fmt.Errorf("%w: audit record %q without a time, or whose event is no JSON of at most %d bytes", ErrInvalid, r.ID, MaxAuditBytes)
	}
	return nil
}

// AuditLog is an optional part of a store that keeps audit events in the transaction of the change that
// they report: either both are stored, or neither is. Such a store also implements [Transactor].
// Packages memory and gormstore implement it, and package cached passes it on.
type AuditLog interface {
	// AppendAudit stores the records. It returns ErrInvalid if one of them fails Check, and
	// ErrConflict if the ID of a record is already used. In both cases it stores none. Any other
	// error is a failure of the store. In a transaction, an error means that the transaction must
	// be rolled back.
	AppendAudit(ctx context.Context, records ...AuditRecord) error
	// AuditAfter returns up to limit records with ID > after, in the order of their IDs. If after
	// is "", the list starts at the beginning. A record can be committed after another record with
	// a greater ID. So a program that copies the log must read the last minutes again.
	AuditAfter(ctx context.Context, after string, limit int) ([]AuditRecord, error)
	// PruneAudit deletes up to limit records that are older than the given time, the oldest first,
	// and returns their number.
	PruneAudit(ctx context.Context, before time.Time, limit int) (int, error)
}
