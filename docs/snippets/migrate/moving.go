package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// #region store

// Store is a store with the accounts of both programs, such as a *gormstore.Store.
type Store interface {
	storage.Complete
	storage.AuditLog
	storage.SessionCount
	storage.CredentialCount
}

// Moving is the store for schemes that replace another program's. It records whose sessions or
// tokens were revoked, by a logout or otherwise. From then on, nothing that the old program issued
// is accepted for the account: it could be a copy of what was just revoked.
type Moving struct{ Store }

// Space is the name space of the accounts.
func (m Moving) Space() string { return storage.SpaceOf(m.Store) }

// Revoked reports whether a session or a token of the account was revoked.
func (m Moving) Revoked(ctx context.Context, subject string) (bool, error) {
	return m.Used(ctx, revokedKey(subject))
}

func revokedKey(subject string) storage.BlockKey {
	return storage.BlockKeyOf("revoked since the move", "", subject)
}

// revoke makes a change and records it, or does neither.
func (m Moving) revoke(ctx context.Context, subject string, change func(context.Context) error) error {
	return m.InTx(ctx, func(ctx context.Context) error {
		if err := change(ctx); err != nil || subject == "" { // "" is a visitor
			return err
		}
		now := time.Now()
		err := m.ConsumeJTI(ctx, revokedKey(subject), now, now.AddDate(100, 0, 0))
		if errors.Is(err, storage.ErrConflict) { // recorded before
			err = nil
		}
		return err
	})
}

// movedKey marks the context of a request whose login comes from the old program.
type movedKey struct{}

func moved(ctx context.Context) context.Context { return context.WithValue(ctx, movedKey{}, true) }

// create is for a new session or token. It undoes a login that comes from the old program if the
// account has had a revocation. Both lock the account, so the revocation either is seen here, or
// deletes what is created here.
func (m Moving) create(ctx context.Context, subject string, insert func(context.Context) error) error {
	if ctx.Value(movedKey{}) == nil {
		return insert(ctx)
	}
	return m.InTx(ctx, func(ctx context.Context) error {
		if err := insert(ctx); err != nil {
			return err
		}
		revoked, err := m.Revoked(ctx, subject)
		if err == nil && revoked {
			err = storage.ErrStale
		}
		return err
	})
}

// #endregion store

// CreateSession implements storage.Sessions.
func (m Moving) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	return m.create(ctx, v.Subject, func(ctx context.Context) error { return m.Store.CreateSession(ctx, v, replaces) })
}

// DeleteSession implements storage.Sessions.
func (m Moving) DeleteSession(ctx context.Context, d storage.Digest) error {
	v, _, err := m.SessionByDigest(ctx, d)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return m.revoke(ctx, v.Subject, func(ctx context.Context) error { return m.Store.DeleteSession(ctx, d) })
}

// DeleteSessionOf implements storage.SessionList.
func (m Moving) DeleteSessionOf(ctx context.Context, subject, id string) error {
	return m.revoke(ctx, subject, func(ctx context.Context) error { return m.Store.DeleteSessionOf(ctx, subject, id) })
}

// DeleteSessionsOf implements storage.SessionList.
func (m Moving) DeleteSessionsOf(ctx context.Context, subject, keep string) (n int, err error) {
	err = m.revoke(ctx, subject, func(ctx context.Context) (err error) {
		n, err = m.Store.DeleteSessionsOf(ctx, subject, keep)
		return err
	})
	return n, err
}

// DeleteSeries implements storage.SessionList.
func (m Moving) DeleteSeries(ctx context.Context, subject, series, keep string) (n int, err error) {
	err = m.revoke(ctx, subject, func(ctx context.Context) (err error) {
		n, err = m.Store.DeleteSeries(ctx, subject, series, keep)
		return err
	})
	return n, err
}

// CreateCredential implements storage.Credentials.
func (m Moving) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) (evicted []storage.Credential, err error) {
	err = m.create(ctx, c.Subject, func(ctx context.Context) (err error) {
		evicted, err = m.Store.CreateCredential(ctx, c, l)
		return err
	})
	return evicted, err
}

// DeleteCredential implements storage.Credentials.
func (m Moving) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	return m.revoke(ctx, subject, func(ctx context.Context) error { return m.Store.DeleteCredential(ctx, purpose, subject, id) })
}

// DeleteCredentialsOf implements storage.CredentialList.
func (m Moving) DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (n int, err error) {
	err = m.revoke(ctx, subject, func(ctx context.Context) (err error) {
		n, err = m.Store.DeleteCredentialsOf(ctx, purpose, subject, keep)
		return err
	})
	return n, err
}

// DeleteAllCredentialsOf implements storage.CredentialList.
func (m Moving) DeleteAllCredentialsOf(ctx context.Context, subject string) (n int, err error) {
	err = m.revoke(ctx, subject, func(ctx context.Context) (err error) {
		n, err = m.Store.DeleteAllCredentialsOf(ctx, subject)
		return err
	})
	return n, err
}
