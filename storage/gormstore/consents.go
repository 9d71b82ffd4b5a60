package gormstore

import (
	"context"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	putConsent = "INSERT INTO vestibule_consents (subject, client, scopes, resource, epoch, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?, ?)" +
		" ON CONFLICT (subject, client) DO UPDATE SET scopes = excluded.scopes, resource = excluded.resource, epoch = excluded.epoch," +
		" created_us = excluded.created_us, expires_us = excluded.expires_us"
	consentOf   = "SELECT scopes, resource, epoch, created_us, expires_us FROM vestibule_consents WHERE subject = ? AND client = ?"
	dropConsent = "DELETE FROM vestibule_consents WHERE subject = ? AND client = ?"
)

// PutConsent implements storage.Consents. It locks the account and the client until the consent is
// inserted, so that deleting either deletes the consent, too.
func (s *Store) PutConsent(ctx context.Context, c storage.Consent) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, c.Subject, c.Epoch); err != nil {
			return err
		}
		if err := s.live(ctx, liveClient, c.Client); err != nil {
			return err
		}
		_, err := s.exec(ctx, s.dialect.bind(putConsent), c.Subject, c.Client, text(c.Scopes), text(c.Resource), c.Epoch, micros(c.Created), micros(c.Expires))
		return err
	})
}

// ConsentOf implements storage.Consents.
func (s *Store) ConsentOf(ctx context.Context, subject, client string) (storage.Consent, error) {
	c := storage.Consent{Subject: subject, Client: client}
	if errors.Join(s.users.mine(subject), storage.CheckID("client", client)) != nil {
		return storage.Consent{}, storage.ErrNotFound
	}
	var scopes, resource *string
	var created, expires int64
	query := s.dialect.bind(consentOf)
	if s.tx(ctx) != nil {
		query += s.dialect.forShare()
		if err := s.lockOwners(ctx, subject, client); err != nil {
			return storage.Consent{}, err
		}
	}
	if err := s.row(ctx, query, []any{subject, client}, []any{&scopes, &resource, &c.Epoch, &created, &expires}); err != nil {
		return storage.Consent{}, notFound(err)
	}
	c.Scopes, c.Resource, c.Created, c.Expires = words(scopes), words(resource), timeOf(created), timeOf(expires)
	return c, nil
}

// DeleteConsent implements storage.Consents.
func (s *Store) DeleteConsent(ctx context.Context, subject, client string) error {
	if errors.Join(s.users.mine(subject), storage.CheckID("client", client)) != nil {
		return storage.ErrNotFound
	}
	if err := s.lockOwners(ctx, subject, client); err != nil {
		return err
	}
	n, err := s.exec(ctx, s.dialect.bind(dropConsent), subject, client)
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}
