package gormstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	listSigningKeys = "SELECT id, purpose, algorithm, master_id, sealed, created_us, signs_from_us, expires_us FROM vestibule_signing_keys" +
		" WHERE purpose = ? ORDER BY signs_from_us DESC, created_us DESC, id"
	insertSigningKey = "INSERT INTO vestibule_signing_keys (id, purpose, algorithm, master_id, sealed, created_us, signs_from_us, expires_us)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

// ListSigningKeys implements storage.SigningKeys.
func (s *Store) ListSigningKeys(ctx context.Context, purpose string) (list []storage.SigningKey, err error) {
	if storage.CheckID("purpose", purpose) != nil {
		return nil, nil
	}
	err = s.rows(ctx, s.dialect.bind(listSigningKeys), []any{purpose}, func(rows *sql.Rows) error {
		var k storage.SigningKey
		var created, signsFrom, expires int64
		if err := rows.Scan(&k.ID, &k.Purpose, &k.Algorithm, &k.MasterID, &k.Sealed, &created, &signsFrom, &expires); err != nil {
			return err
		}
		k.Created, k.SignsFrom, k.Expires = timeOf(created), timeOf(signsFrom), timeOf(expires)
		list = append(list, k)
		return nil
	})
	return list, err
}

// SigningPurposes implements storage.SigningKeys.
func (s *Store) SigningPurposes(ctx context.Context) (list []string, err error) {
	err = s.rows(ctx, "SELECT DISTINCT purpose FROM vestibule_signing_keys", nil, func(rows *sql.Rows) error {
		var purpose string
		if err := rows.Scan(&purpose); err != nil {
			return err
		}
		list = append(list, purpose)
		return nil
	})
	slices.Sort(list) // independent of the database's collation
	return list, err
}

// CreateSigningKey implements storage.SigningKeys. Concurrent calls for one purpose run one after
// the other: SQLite has one writer, and PostgreSQL locks a row of vestibule_locks.
func (s *Store) CreateSigningKey(ctx context.Context, k storage.SigningKey, newest string) error {
	if err := k.Check(); err != nil {
		return err
	}
	if k.Sealed == nil {
		k.Sealed = []byte{} // not NULL
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.locked(ctx, lockSigningKey+k.Purpose, "vestibule_signing_keys "+k.Purpose); err != nil {
			return err
		}
		list, err := s.ListSigningKeys(ctx, k.Purpose)
		if err != nil {
			return err
		}
		have := ""
		if len(list) > 0 {
			have = list[0].ID
		}
		if have != newest {
			return storage.ErrConflict
		}
		n, err := s.exec(ctx, s.dialect.bind(insertSigningKey), k.ID, k.Purpose, k.Algorithm, k.MasterID, k.Sealed,
			micros(k.Created), micros(k.SignsFrom), micros(k.Expires))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
}

// ExpireSigningKey implements storage.SigningKeys.
func (s *Store) ExpireSigningKey(ctx context.Context, purpose, id string, at time.Time) error {
	if storage.CheckID("purpose", purpose) != nil || storage.CheckID("key id", id) != nil {
		return storage.ErrNotFound
	}
	n, err := s.exec(ctx, s.dialect.bind("UPDATE vestibule_signing_keys SET expires_us = ? WHERE purpose = ? AND id = ?"), micros(at), purpose, id)
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}
