package gormstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	insertLink = "INSERT INTO vestibule_links (space, issuer, foreign_id, id, subject, created_us) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	countLinks = "SELECT COUNT(*) FROM vestibule_links WHERE subject = ?"
	listLinks  = "SELECT issuer, foreign_id, id, created_us FROM vestibule_links WHERE subject = ? ORDER BY created_us, id"
	dropLink   = "DELETE FROM vestibule_links WHERE subject = ? AND id = ?"
	dropLinks  = "DELETE FROM vestibule_links WHERE subject = ?"
)

// LinkOf implements storage.Links with one prepared query.
func (s *Store) LinkOf(ctx context.Context, issuer, foreign string) (storage.Link, storage.User, error) {
	if errors.Join(storage.CheckID("issuer", issuer), storage.CheckID("subject of the issuer", foreign)) != nil {
		return storage.Link{}, storage.User{}, storage.ErrNotFound
	}
	if err := s.bound(ctx); err != nil {
		return storage.Link{}, storage.User{}, err
	}
	l := storage.Link{Issuer: issuer, Foreign: foreign}
	var created int64
	var u userRow
	if err := s.hotRow(ctx, &s.linkOf, []any{issuer, foreign}, append([]any{&l.ID, &l.Subject, &created}, u.dest()...)); err != nil {
		return storage.Link{}, storage.User{}, notFound(err)
	}
	if u.u.ID != l.Subject { // see UserByID
		return storage.Link{}, storage.User{}, storage.ErrNotFound
	}
	l.Created = timeOf(created)
	return l, s.account(&u), nil
}

// CreateLink implements storage.Links. It locks the account until the link is inserted, so that
// deleting the account deletes the link, too.
func (s *Store) CreateLink(ctx context.Context, l storage.Link, epoch int64) error {
	if err := l.Check(); err != nil {
		return err
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, l.Subject, epoch); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.dialect.bind(insertLink), s.users.space, l.Issuer, l.Foreign, l.ID, l.Subject, micros(l.Created))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		if err != nil {
			return err
		}
		var have int
		if err := s.row(ctx, s.dialect.bind(countLinks), []any{l.Subject}, []any{&have}); err != nil || have <= storage.MaxLinks {
			return err
		}
		if _, err := s.exec(ctx, s.dialect.bind(dropLink), l.Subject, l.ID); err != nil { // in a transaction of the caller nothing rolls it back
			return err
		}
		return storage.ErrLimit
	})
}

// ListLinks implements storage.Links.
func (s *Store) ListLinks(ctx context.Context, subject string) (list []storage.Link, err error) {
	if s.users.mine(subject) != nil {
		return nil, nil
	}
	err = s.rows(ctx, s.dialect.bind(listLinks), []any{subject}, func(rows *sql.Rows) error {
		l := storage.Link{Subject: subject}
		var created int64
		err := rows.Scan(&l.Issuer, &l.Foreign, &l.ID, &created)
		l.Created = timeOf(created)
		list = append(list, l)
		return err
	})
	return list, err
}

// DeleteLink implements storage.Links.
func (s *Store) DeleteLink(ctx context.Context, subject, id string) error {
	if errors.Join(s.users.mine(subject), storage.CheckID("link id", id)) != nil {
		return storage.ErrNotFound
	}
	return s.revoking(ctx, endPieces, func(ctx context.Context) (bool, error) {
		if s.users.has(subject) {
			if err := s.lockUser(ctx, subject); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return false, err
			}
		}
		n, err := s.exec(ctx, s.dialect.bind(dropLink), subject, id)
		if err == nil && n == 0 {
			err = storage.ErrNotFound
		}
		if err != nil {
			return false, err
		}
		return s.end(ctx, subject)
	}, s.restOf(subject))
}
