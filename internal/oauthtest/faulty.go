package oauthtest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Faulty fails where it is told to.
type Faulty struct {
	Store
	Fail       atomic.Bool
	NoConsents atomic.Bool
	FailUse    atomic.Bool
	Uses       atomic.Int64 // calls of ConsumeJTI
}

var ErrDown = errors.New("the database is down")

func (f *Faulty) down() error {
	if f.Fail.Load() {
		return ErrDown
	}
	return nil
}

func (f *Faulty) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	if err := f.down(); err != nil {
		return storage.Client{}, err
	}
	return f.Store.ClientByID(ctx, id)
}

func (f *Faulty) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	if err := f.down(); err != nil {
		return storage.AccessState{}, err
	}
	return f.Store.AccessByDigest(ctx, d)
}

func (f *Faulty) ListFamilies(ctx context.Context, purpose, subject string, after storage.FamilyPlace, limit int) ([]storage.Family, error) {
	if err := f.down(); err != nil {
		return nil, err
	}
	return f.Store.ListFamilies(ctx, purpose, subject, after, limit)
}

func (f *Faulty) ListFamiliesOf(ctx context.Context, purpose, subject, client string, skip, limit int) ([]storage.Family, error) {
	if err := f.down(); err != nil {
		return nil, err
	}
	return f.Store.ListFamiliesOf(ctx, purpose, subject, client, skip, limit)
}

func (f *Faulty) FamilyByID(ctx context.Context, purpose, subject, id string) (storage.Family, error) {
	if err := f.down(); err != nil {
		return storage.Family{}, err
	}
	return f.Store.FamilyByID(ctx, purpose, subject, id)
}

func (f *Faulty) PutConsent(ctx context.Context, c storage.Consent) error {
	if f.NoConsents.Load() {
		return ErrDown
	}
	return f.Store.PutConsent(ctx, c)
}

func (f *Faulty) ConsentOf(ctx context.Context, subject, client string) (storage.Consent, error) {
	if f.NoConsents.Load() {
		return storage.Consent{}, ErrDown
	}
	return f.Store.ConsentOf(ctx, subject, client)
}

func (f *Faulty) DeleteConsent(ctx context.Context, subject, client string) error {
	if f.NoConsents.Load() {
		return ErrDown
	}
	return f.Store.DeleteConsent(ctx, subject, client)
}

func (f *Faulty) ConsumeJTI(ctx context.Context, key storage.BlockKey, now, until time.Time) error {
	f.Uses.Add(1)
	if f.FailUse.Load() {
		return ErrDown
	}
	return f.Store.ConsumeJTI(ctx, key, now, until)
}

// KeepsAudit reports whether the store keeps events.
func (f *Faulty) KeepsAudit() bool {
	_, ok := f.Store.(storage.AuditLog)
	return ok
}

func (f *Faulty) AppendAudit(ctx context.Context, records ...storage.AuditRecord) error {
	return f.Store.(storage.AuditLog).AppendAudit(ctx, records...)
}

func (f *Faulty) AuditAfter(ctx context.Context, after string, limit int) ([]storage.AuditRecord, error) {
	return f.Store.(storage.AuditLog).AuditAfter(ctx, after, limit)
}

func (f *Faulty) PruneAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	return f.Store.(storage.AuditLog).PruneAudit(ctx, before, limit)
}
