package cached

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func ofSubject(subject string) Change { return Change{Subject: subject} }

func ofKey(kind Kind, d storage.Digest) Change { return Change{Key: Key{Kind: kind, Digest: d}} }

func ofBlock(k storage.BlockKey) Change { return ofKey(Blocks, storage.Digest(k)) }

// SetPassword implements storage.Accounts.
func (s *Store) SetPassword(ctx context.Context, id string, hash storage.PasswordHash) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetPassword(ctx, id, hash) }, ofSubject(id))
}

// ChangePassword implements storage.Accounts.
func (s *Store) ChangePassword(ctx context.Context, id string, epoch int64, hash storage.PasswordHash) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.ChangePassword(ctx, id, epoch, hash) }, ofSubject(id))
}

// ReplaceHash implements storage.Accounts. It revokes no credential, but changes the fingerprint.
func (s *Store) ReplaceHash(ctx context.Context, id string, old, new storage.PasswordHash) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.ReplaceHash(ctx, id, old, new) }, ofSubject(id))
}

// SetActive implements storage.Accounts.
func (s *Store) SetActive(ctx context.Context, id string, active bool) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetActive(ctx, id, active) }, ofSubject(id))
}

// SetRoles implements storage.Accounts. It revokes no credential, but cached accounts contain the
// roles.
func (s *Store) SetRoles(ctx context.Context, id string, roles ...string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetRoles(ctx, id, roles...) }, ofSubject(id))
}

// DeleteUser implements storage.Accounts.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteUser(ctx, id) }, ofSubject(id))
}

// BumpEpoch implements storage.Subjects.
func (s *Store) BumpEpoch(ctx context.Context, subject string) (epoch int64, err error) {
	err = s.change(ctx, func(ctx context.Context) (err error) {
		epoch, err = s.base.BumpEpoch(ctx, subject)
		return err
	}, ofSubject(subject))
	return epoch, err
}

// BumpEpochs implements storage.EpochBatches. Each call removes everything from the cache. It
// returns an error if the store under the cache does not implement the interface.
func (s *Store) BumpEpochs(ctx context.Context, after string, before time.Time, limit int) (last string, n int, err error) {
	base, ok := s.base.(storage.EpochBatches)
	if !ok {
		return "", 0, errNoBatches
	}
	err = s.change(ctx, func(ctx context.Context) (err error) {
		last, n, err = base.BumpEpochs(ctx, after, before, limit)
		return err
	}, Change{All: true})
	if err != nil {
		return "", 0, err
	}
	return last, n, nil
}

var errNoBatches = errors.New("cached: BumpEpochs: the store does not implement storage.EpochBatches")

// DeleteSubject implements storage.Subjects.
func (s *Store) DeleteSubject(ctx context.Context, subject string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteSubject(ctx, subject) }, ofSubject(subject))
}

// PutStaticToken implements storage.StaticTokens.
func (s *Store) PutStaticToken(ctx context.Context, t storage.StaticToken, old storage.Digest) error {
	put := func(ctx context.Context) error { return s.base.PutStaticToken(ctx, t, old) }
	if old.IsZero() {
		return s.renew(ctx, put, ofKey(StaticTokens, t.Digest))
	}
	return s.change(ctx, put, ofKey(StaticTokens, t.Digest), ofKey(StaticTokens, old))
}

// DeleteStaticToken implements storage.StaticTokens.
func (s *Store) DeleteStaticToken(ctx context.Context, d storage.Digest) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteStaticToken(ctx, d) }, ofKey(StaticTokens, d))
}

// DeleteStaticTokenOf implements storage.StaticTokens.
func (s *Store) DeleteStaticTokenOf(ctx context.Context, subject string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteStaticTokenOf(ctx, subject) }, ofSubject(subject))
}

// CreateCredential implements storage.Credentials. If it may evict credentials, all cached records
// of the subject are removed.
func (s *Store) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) (evicted []storage.Credential, err error) {
	create := func(ctx context.Context) (err error) {
		evicted, err = s.base.CreateCredential(ctx, c, l)
		return err
	}
	if l.Max == 0 || !l.Evict {
		err = s.renew(ctx, create, ofKey(Credentials, c.Digest))
	} else {
		err = s.change(ctx, create, ofKey(Credentials, c.Digest), ofSubject(c.Subject))
	}
	if err != nil {
		return nil, err
	}
	return evicted, nil
}

// TouchCredential implements storage.Credentials. The next lookup returns the new times.
func (s *Store) TouchCredential(ctx context.Context, purpose string, d storage.Digest, used, expires, before time.Time) (touched bool, err error) {
	err = s.renew(ctx, func(ctx context.Context) (err error) {
		touched, err = s.base.TouchCredential(ctx, purpose, d, used, expires, before)
		return err
	}, ofKey(Credentials, d))
	return touched, err
}

// DeleteCredential implements storage.Credentials.
func (s *Store) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteCredential(ctx, purpose, subject, id) }, ofSubject(subject))
}

// DeleteCredentialsOf implements storage.CredentialList.
func (s *Store) DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (int, error) {
	return s.deleteAll(ctx, subject, func(ctx context.Context) (int, error) { return s.base.DeleteCredentialsOf(ctx, purpose, subject, keep) })
}

// DeleteAllCredentialsOf implements storage.CredentialList.
func (s *Store) DeleteAllCredentialsOf(ctx context.Context, subject string) (int, error) {
	return s.deleteAll(ctx, subject, func(ctx context.Context) (int, error) { return s.base.DeleteAllCredentialsOf(ctx, subject) })
}

// deleteAll runs f, which deletes several records of a subject and returns their number.
func (s *Store) deleteAll(ctx context.Context, subject string, f func(context.Context) (int, error)) (n int, err error) {
	err = s.change(ctx, func(ctx context.Context) (err error) {
		n, err = f(ctx)
		return err
	}, ofSubject(subject))
	if err != nil {
		return 0, err
	}
	return n, nil
}

// CreateSession implements storage.Sessions.
func (s *Store) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	create := func(ctx context.Context) error { return s.base.CreateSession(ctx, v, replaces) }
	if replaces.IsZero() {
		return s.renew(ctx, create, ofKey(Sessions, v.Digest))
	}
	return s.change(ctx, create, ofKey(Sessions, v.Digest), ofKey(Sessions, replaces))
}

// SaveSession implements storage.Sessions. The next lookup returns the new data.
func (s *Store) SaveSession(ctx context.Context, d storage.Digest, version int64, data []byte) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SaveSession(ctx, d, version, data) }, ofKey(Sessions, d))
}

// TouchSession implements storage.Sessions. The next lookup returns the new times.
func (s *Store) TouchSession(ctx context.Context, d storage.Digest, seen, expires, before time.Time) (touched bool, err error) {
	err = s.renew(ctx, func(ctx context.Context) (err error) {
		touched, err = s.base.TouchSession(ctx, d, seen, expires, before)
		return err
	}, ofKey(Sessions, d))
	return touched, err
}

// DeleteSession implements storage.Sessions.
func (s *Store) DeleteSession(ctx context.Context, d storage.Digest) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteSession(ctx, d) }, ofKey(Sessions, d))
}

// DeleteSessionOf implements storage.SessionList.
func (s *Store) DeleteSessionOf(ctx context.Context, subject, id string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteSessionOf(ctx, subject, id) }, ofSubject(subject))
}

// DeleteSessionsOf implements storage.SessionList.
func (s *Store) DeleteSessionsOf(ctx context.Context, subject, keep string) (int, error) {
	return s.deleteAll(ctx, subject, func(ctx context.Context) (int, error) { return s.base.DeleteSessionsOf(ctx, subject, keep) })
}

// DeleteSeries implements storage.SessionList.
func (s *Store) DeleteSeries(ctx context.Context, subject, series, keep string) (int, error) {
	return s.deleteAll(ctx, subject, func(ctx context.Context) (int, error) { return s.base.DeleteSeries(ctx, subject, series, keep) })
}

// EndFamily implements storage.Families.
func (s *Store) EndFamily(ctx context.Context, id string, blockUntil time.Time) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.EndFamily(ctx, id, blockUntil) },
		ofBlock(storage.BlockKeyOf(storage.BlockSID, "", id)))
}

// Block implements storage.Blocklist.
func (s *Store) Block(ctx context.Context, until time.Time, keys ...storage.BlockKey) error {
	changes := make([]Change, 0, len(keys))
	for _, k := range keys {
		if !k.IsZero() {
			changes = append(changes, ofBlock(k))
		}
	}
	return s.change(ctx, func(ctx context.Context) error { return s.base.Block(ctx, until, keys...) }, changes...)
}

// CreateAccess implements storage.AccessTokens.
func (s *Store) CreateAccess(ctx context.Context, t storage.AccessToken) error {
	return s.renew(ctx, func(ctx context.Context) error { return s.base.CreateAccess(ctx, t) }, ofKey(AccessTokens, t.Digest))
}

// DeleteAccess implements storage.AccessTokens.
func (s *Store) DeleteAccess(ctx context.Context, d storage.Digest) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteAccess(ctx, d) }, ofKey(AccessTokens, d))
}

// Prune implements storage.Pruner. If it deleted anything, everything is removed from the cache,
// because deleting an expired family also revokes access tokens that can be in the cache. Other
// entries never outlive their own expiry. Prune revokes no signed token, so the deny set stays as
// it is.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (int, error) {
	all := []Change{{All: true}}
	if err := s.later(ctx, all); err != nil {
		return 0, err
	}
	n, err := s.base.Prune(ctx, now, limit)
	if (n > 0 || err != nil) && !s.pendingIn(ctx) {
		s.flush()
	}
	return n, err
}
