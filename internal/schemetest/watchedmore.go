package schemetest

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// SessionByDigest implements storage.Sessions.
func (w *Watched) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	return got2(w, "SessionByDigest", func() (storage.Session, storage.User, error) { return w.Store.SessionByDigest(ctx, d) })
}

// CreateSession implements storage.Sessions.
func (w *Watched) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	return w.done("CreateSession", func() error { return w.Store.CreateSession(ctx, v, replaces) })
}

// SaveSession implements storage.Sessions.
func (w *Watched) SaveSession(ctx context.Context, d storage.Digest, version int64, data []byte) error {
	return w.done("SaveSession", func() error { return w.Store.SaveSession(ctx, d, version, data) })
}

// TouchSession implements storage.Sessions.
func (w *Watched) TouchSession(ctx context.Context, d storage.Digest, seen, expires, before time.Time) (bool, error) {
	return got(w, "TouchSession", func() (bool, error) { return w.Store.TouchSession(ctx, d, seen, expires, before) })
}

// DeleteSession implements storage.Sessions.
func (w *Watched) DeleteSession(ctx context.Context, d storage.Digest) error {
	return w.done("DeleteSession", func() error { return w.Store.DeleteSession(ctx, d) })
}

// ListSessions implements storage.SessionList.
func (w *Watched) ListSessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	return got(w, "ListSessions", func() ([]storage.Session, error) { return w.Store.ListSessions(ctx, subject, limit) })
}

// SessionByID implements storage.SessionList.
func (w *Watched) SessionByID(ctx context.Context, subject, id string) (storage.Session, error) {
	return got(w, "SessionByID", func() (storage.Session, error) { return w.Store.SessionByID(ctx, subject, id) })
}

// DeleteSeries implements storage.SessionList.
func (w *Watched) DeleteSeries(ctx context.Context, subject, series, keep string) (int, error) {
	return got(w, "DeleteSeries", func() (int, error) { return w.Store.DeleteSeries(ctx, subject, series, keep) })
}

// TokenStatusWithUser implements storage.Blocklist.
func (w *Watched) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	return got2(w, "TokenStatusWithUser", func() (storage.User, storage.TokenStatus, error) {
		return w.Store.TokenStatusWithUser(ctx, subject, keys)
	})
}

// TokenStatusOf implements storage.Blocklist.
func (w *Watched) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	return got(w, "TokenStatusOf", func() (storage.TokenStatus, error) { return w.Store.TokenStatusOf(ctx, subject, keys) })
}

// Block implements storage.Blocklist.
func (w *Watched) Block(ctx context.Context, until time.Time, keys ...storage.BlockKey) error {
	return w.done("Block", func() error { return w.Store.Block(ctx, until, keys...) })
}

// RefreshByDigest implements storage.Families.
func (w *Watched) RefreshByDigest(ctx context.Context, d storage.Digest) (storage.RefreshState, error) {
	return got(w, "RefreshByDigest", func() (storage.RefreshState, error) { return w.Store.RefreshByDigest(ctx, d) })
}

// ClaimRefresh implements storage.Families.
func (w *Watched) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	return w.done("ClaimRefresh", func() error { return w.Store.ClaimRefresh(ctx, c) })
}

// EndFamily implements storage.Families.
func (w *Watched) EndFamily(ctx context.Context, id string, until time.Time) error {
	return w.done("EndFamily", func() error { return w.Store.EndFamily(ctx, id, until) })
}

// ListFamilies implements storage.Families.
func (w *Watched) ListFamilies(ctx context.Context, purpose, subject string, after storage.FamilyPlace, limit int) ([]storage.Family, error) {
	return got(w, "ListFamilies", func() ([]storage.Family, error) { return w.Store.ListFamilies(ctx, purpose, subject, after, limit) })
}

// FamilyByID implements storage.Families.
func (w *Watched) FamilyByID(ctx context.Context, purpose, subject, id string) (storage.Family, error) {
	return got(w, "FamilyByID", func() (storage.Family, error) { return w.Store.FamilyByID(ctx, purpose, subject, id) })
}

// AccessByDigest implements storage.AccessTokens.
func (w *Watched) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	return got(w, "AccessByDigest", func() (storage.AccessState, error) { return w.Store.AccessByDigest(ctx, d) })
}

// CountFamilies implements storage.Families.
func (w *Watched) CountFamilies(ctx context.Context, purpose, subject string) (storage.FamilyCount, error) {
	return got(w, "CountFamilies", func() (storage.FamilyCount, error) { return w.Store.CountFamilies(ctx, purpose, subject) })
}
