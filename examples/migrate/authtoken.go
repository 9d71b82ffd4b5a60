package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// #region authtoken

// ImportTokens copies the tokens of rest_framework.authtoken, as digests. It can run again. A
// subject that has a token already keeps it, and a token that was revoked here stays revoked. First
// it revokes imported tokens that Django has deleted since.
func ImportTokens(ctx context.Context, db *gormstore.Store, ring *keys.Ring) (imported int, err error) {
	if err := revokeDeleted(ctx, db); err != nil {
		return 0, err
	}
	var rows []row
	q := db.DB(ctx).Raw("SELECT t.key, t.user_id FROM authtoken_token t WHERE NOT EXISTS (SELECT 1 FROM vestibule_static_tokens v WHERE v.subject = CAST(t.user_id AS TEXT))")
	if err := q.Scan(&rows).Error; err != nil {
		return 0, err
	}
	keyID, _ := ring.Newest(keys.StaticToken)
	for _, r := range rows {
		switch err := importToken(ctx, db, keyID, r); {
		case err == nil:
			imported++
		case !errors.Is(err, errSkipped) && !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrStale):
			return imported, err
		}
	}
	return imported, nil
}

type row struct{ Key, UserID string }

var errSkipped = errors.New("migrate: token is revoked")

// importToken imports a token at most once, so that a logout lasts: a note that it was imported is
// written in the same transaction.
func importToken(ctx context.Context, db *gormstore.Store, keyID string, r row) error {
	now, digest := time.Now(), storage.DigestOf(r.Key)
	note := noteOf(digest)
	if used, err := db.Used(ctx, note); err != nil || used {
		return errors.Join(err, errSkipped)
	}
	return db.InTx(ctx, func(ctx context.Context) error {
		// The epoch is read before the row: a revocation in between makes PutStaticToken fail.
		epoch, err := db.SubjectEpoch(ctx, r.UserID)
		if err != nil {
			return err
		}
		var created []time.Time
		q := db.DB(ctx).Raw("SELECT t.created FROM authtoken_token t JOIN auth_user u ON u.id = t.user_id WHERE t.key = ? AND u.is_active", r.Key)
		if err := q.Scan(&created).Error; err != nil {
			return err
		}
		if len(created) == 0 || !issuedSince(epoch, created[0]) {
			return errSkipped
		}
		if err := db.ConsumeJTI(ctx, note, now, now.AddDate(100, 0, 0)); err != nil {
			return err
		}
		t := storage.StaticToken{Digest: digest, Subject: r.UserID, Salt: make([]byte, 32), KeyID: keyID, Epoch: epoch, Created: now}
		if _, err := rand.Read(t.Salt); err != nil {
			return err
		}
		return db.PutStaticToken(ctx, t, storage.Digest{})
	})
}

// noteOf returns the key of the note that a token was imported.
func noteOf(d storage.Digest) storage.BlockKey {
	return storage.BlockKeyOf("authtoken import", "django", string(d[:]))
}

// revokeDeleted deletes each token that was imported and that Django no longer has, for example
// because the user logged out there. Tokens that were issued here have no note, and stay.
func revokeDeleted(ctx context.Context, db *gormstore.Store) error {
	for after := ""; ; {
		list, err := db.ListStaticTokens(ctx, after, 1000)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, t := range list {
			after = t.Subject
			if used, err := db.Used(ctx, noteOf(t.Digest)); err != nil {
				return err
			} else if !used {
				continue
			}
			id, err := strconv.ParseInt(t.Subject, 10, 64)
			if err != nil {
				return err
			}
			var have []string
			if err := db.DB(ctx).Raw("SELECT key FROM authtoken_token WHERE user_id = ?", id).Scan(&have).Error; err != nil {
				return err
			}
			if slices.ContainsFunc(have, func(key string) bool { return storage.DigestOf(key) == t.Digest }) {
				continue
			}
			if err := db.DeleteStaticToken(ctx, t.Digest); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
		}
	}
}

// Tokens is the store for token.New. A token that is revoked here, such as by a logout, is deleted
// in Django too. Otherwise Django would accept it, and return it at the next login.
type Tokens struct{ *gormstore.Store }

// DeleteStaticToken implements storage.StaticTokens.
func (s Tokens) DeleteStaticToken(ctx context.Context, d storage.Digest) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		t, _, err := s.StaticTokenByDigest(ctx, d)
		if err == nil {
			err = s.DeleteStaticTokenOf(ctx, t.Subject)
		}
		return err
	})
}

// DeleteStaticTokenOf implements storage.StaticTokens.
func (s Tokens) DeleteStaticTokenOf(ctx context.Context, subject string) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := endInDjango(ctx, s.Store, subject, endToken); err != nil {
			return err
		}
		return s.Store.DeleteStaticTokenOf(ctx, subject)
	})
}

// #endregion authtoken
