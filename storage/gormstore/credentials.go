package gormstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	credentialColumns = "t.id, t.subject, t.name, t.scopes, t.epoch, t.created_us, t.expires_us, t.last_used_us, t.ttl_us, t.max_us, t.data"
	dropCredential    = "DELETE FROM vestibule_device_tokens WHERE digest = ?"
	// The credentials that count for a limit, the oldest first.
	liveCredentials = "SELECT " + credentialColumns + ", t.digest FROM vestibule_device_tokens t WHERE t.subject = ? AND t.purpose = ? AND t.epoch = ?" +
		" AND (t.expires_us = 0 OR t.expires_us > ?) ORDER BY t.created_us, t.id"
	ofPurpose        = " FROM vestibule_device_tokens t WHERE t.subject = ? AND t.purpose = ? AND t.epoch = {epoch}"
	countCredentials = "SELECT COUNT(*)" + ofPurpose
	listCredentials  = "SELECT " + credentialColumns + ", t.digest" + ofPurpose +
		" ORDER BY t.created_us DESC, t.id LIMIT ?"
	listPurposes     = "SELECT DISTINCT t.purpose FROM vestibule_device_tokens t WHERE t.subject = ? AND t.epoch = {epoch} ORDER BY t.purpose"
	insertCredential = "INSERT INTO vestibule_device_tokens (digest, purpose, id, subject, name, scopes, epoch, created_us, expires_us, last_used_us, ttl_us, max_us, data)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	credentialTaken = "SELECT EXISTS (SELECT 1 FROM vestibule_device_tokens WHERE digest = ?) OR EXISTS (SELECT 1 FROM vestibule_device_tokens WHERE subject = ? AND id = ?)"
	// expires_us never moves back or beyond max_us.
	touchCredential = "UPDATE vestibule_device_tokens SET last_used_us = ?, expires_us = CASE WHEN expires_us = 0 OR expires_us >= ? THEN expires_us" +
		" WHEN max_us = 0 OR max_us >= ? THEN ? WHEN max_us > expires_us THEN max_us ELSE expires_us END" +
		" WHERE digest = ? AND purpose = ? AND (expires_us = 0 OR expires_us > ?) AND (last_used_us = 0 OR last_used_us <= ?)"
	// expires_us moves back too, because a clock that was ahead wrote it.
	correctCredential = "UPDATE vestibule_device_tokens SET last_used_us = ?, expires_us = CASE WHEN expires_us = 0 OR {keep}" +
		" THEN expires_us WHEN max_us = 0 OR max_us >= ? THEN ? ELSE max_us END" +
		" WHERE digest = ? AND purpose = ? AND (expires_us = 0 OR expires_us > ?) AND last_used_us > ? AND last_used_us <= ?"
)

// credentialRow is a row of credentialColumns.
type credentialRow struct {
	c                                         storage.Credential
	digest                                    []byte
	scopes                                    *string
	created, expires, lastUsed, ttl, notAfter int64
}

func (r *credentialRow) dest() []any {
	return []any{&r.c.ID, &r.c.Subject, &r.c.Name, &r.scopes, &r.c.Epoch, &r.created, &r.expires, &r.lastUsed, &r.ttl, &r.notAfter, &r.c.Data, &r.digest}
}

func (r *credentialRow) credential(purpose string) storage.Credential {
	r.c.Purpose = purpose
	r.c.Scopes = words(r.scopes)
	r.c.Created, r.c.Expires, r.c.LastUsed, r.c.Max = timeOf(r.created), timeOf(r.expires), timeOf(r.lastUsed), timeOf(r.notAfter)
	r.c.TTL = time.Duration(r.ttl) * time.Microsecond
	return r.c
}

// words splits a list of a column. NULL is nil, and an empty text is the empty list.
func words(text *string) []string {
	switch {
	case text == nil:
		return nil
	case *text == "":
		return []string{}
	}
	return strings.Split(*text, " ")
}

// text is the reverse of words.
func text(words []string) *string {
	if words == nil {
		return nil
	}
	s := strings.Join(words, " ")
	return &s
}

// CredentialByDigest implements storage.Credentials with one prepared query.
func (s *Store) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	if err := s.bound(ctx); err != nil {
		return storage.Credential{}, storage.User{}, err
	}
	if storage.CheckPurpose(purpose) != nil {
		return storage.Credential{}, storage.User{}, storage.ErrNotFound
	}
	var r struct {
		c credentialRow
		u userRow
	}
	c, u := &r.c, &r.u
	err := s.hotRow(ctx, &s.credentialByDigest, []any{d[:], purpose}, []any{
		&c.c.ID, &c.c.Subject, &c.c.Name, &c.scopes, &c.c.Epoch, &c.created, &c.expires, &c.lastUsed, &c.ttl, &c.notAfter, &c.c.Data,
		&u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, u.epoch(),
	})
	if err != nil {
		return storage.Credential{}, storage.User{}, notFound(err)
	}
	c.c.Digest = d
	if u.u.ID != c.c.Subject { // see UserByID
		return storage.Credential{}, storage.User{}, storage.ErrNotFound
	}
	return c.credential(purpose), s.account(u), nil
}

// ListCredentials implements storage.CredentialList.
func (s *Store) ListCredentials(ctx context.Context, purpose, subject string, limit int) ([]storage.Credential, error) {
	if s.users.mine(subject) != nil || storage.CheckPurpose(purpose) != nil {
		return nil, nil
	}
	return s.credentials(ctx, s.q.listCredentials, purpose, subject, purpose, subject, max(limit, 0))
}

// CountCredentials implements storage.CredentialCount.
func (s *Store) CountCredentials(ctx context.Context, purpose, subject string) (n int, err error) {
	if s.users.mine(subject) != nil || storage.CheckPurpose(purpose) != nil {
		return 0, nil
	}
	err = s.row(ctx, s.q.countCredentials, []any{subject, purpose, subject}, []any{&n})
	return n, err
}

func (s *Store) credentials(ctx context.Context, query, purpose string, args ...any) (list []storage.Credential, err error) {
	err = s.rows(ctx, query, args, func(rows *sql.Rows) error {
		var r credentialRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		d, err := digestOf(r.digest)
		r.c.Digest = d
		list = append(list, r.credential(purpose))
		return err
	})
	return list, err
}

// CreateCredential implements storage.Credentials. It locks the subject's row, so that concurrent
// calls count each other's credentials.
func (s *Store) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) (evicted []storage.Credential, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	err = s.atomically(ctx, func(ctx context.Context) error {
		evicted = nil
		if err := s.lockHolder(ctx, c.Subject, c.Epoch); err != nil {
			return err
		}
		var surplus []storage.Credential
		if l.Max > 0 {
			live, err := s.credentials(ctx, s.dialect.bind(liveCredentials), c.Purpose, c.Subject, c.Purpose, c.Epoch, micros(l.Now))
			if err != nil {
				return err
			}
			if len(live) >= l.Max {
				surplus = live[:len(live)-l.Max+1]
			}
		}
		if len(surplus) > 0 && !l.Evict { // ErrConflict takes precedence over ErrLimit
			taken := false
			if err := s.row(ctx, s.dialect.bind(credentialTaken), []any{c.Digest[:], c.Subject, c.ID}, []any{&taken}); err != nil {
				return err
			}
			if taken {
				return storage.ErrConflict
			}
			return storage.ErrLimit
		}
		n, err := s.exec(ctx, s.dialect.bind(insertCredential), c.Digest[:], c.Purpose, c.ID, c.Subject, c.Name, text(c.Scopes), c.Epoch,
			micros(c.Created), micros(c.Expires), micros(c.LastUsed), c.TTL.Microseconds(), micros(c.Max), c.Data)
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrConflict
		}
		drop := s.dialect.bind(dropCredential)
		for _, old := range surplus {
			n, err := s.exec(ctx, drop, old.Digest[:])
			if err != nil {
				return err
			}
			if n > 0 { // it was not deleted concurrently
				evicted = append(evicted, old)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return evicted, nil
}

// TouchCredential implements storage.Credentials.
func (s *Store) TouchCredential(ctx context.Context, purpose string, d storage.Digest, used, expires, before time.Time) (bool, error) {
	if storage.CheckPurpose(purpose) != nil {
		return false, nil
	}
	to := micros(expires)
	query, args := touchCredential, []any{micros(used), to, to, to, d[:], purpose, micros(used), micros(before)}
	if before.After(used) {
		query = strings.Replace(correctCredential, "{keep}", strings.ToUpper(strconv.FormatBool(to == 0)), 1)
		args = []any{micros(used), to, to, d[:], purpose, micros(used), micros(used), micros(before)}
	}
	n, err := s.exec(ctx, s.dialect.bind(query), args...)
	return n > 0, err
}

// DeleteCredential implements storage.Credentials.
func (s *Store) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	if s.users.mine(subject) != nil || storage.CheckPurpose(purpose) != nil || storage.CheckID("credential id", id) != nil {
		return storage.ErrNotFound
	}
	n, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_device_tokens WHERE subject = ? AND id = ? AND purpose = ?"), subject, id, purpose)
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}

// DeleteCredentialsOf implements storage.CredentialList.
func (s *Store) DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (int, error) {
	if s.users.mine(subject) != nil || storage.CheckPurpose(purpose) != nil {
		return 0, nil
	}
	if storage.CheckID("credential id", keep) != nil {
		keep = "" // no credential has this ID
	}
	return s.all(ctx, subject, "", rowSet{"vestibule_device_tokens", "digest", "subject = ? AND purpose = ? AND id <> ?", []any{subject, purpose, keep}})
}

// CredentialPurposes implements storage.CredentialList.
func (s *Store) CredentialPurposes(ctx context.Context, subject string) (list []string, err error) {
	if s.users.mine(subject) != nil {
		return nil, nil
	}
	err = s.rows(ctx, s.q.listPurposes, []any{subject, subject}, func(rows *sql.Rows) error {
		var purpose string
		err := rows.Scan(&purpose)
		list = append(list, purpose)
		return err
	})
	return list, err
}

// DeleteAllCredentialsOf implements storage.CredentialList.
func (s *Store) DeleteAllCredentialsOf(ctx context.Context, subject string) (int, error) {
	if s.users.mine(subject) != nil {
		return 0, nil
	}
	return s.all(ctx, subject, "", rowSet{"vestibule_device_tokens", "digest", "subject = ?", []any{subject}})
}
