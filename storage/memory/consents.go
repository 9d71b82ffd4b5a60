package memory

import (
	"context"
	"slices"

	"github.com/vestibule-auth/vestibule/storage"
)

// consentID is the key of a consent.
type consentID struct{ subject, client string }

func copyConsent(c storage.Consent) storage.Consent {
	c.Scopes, c.Resource = slices.Clone(c.Scopes), slices.Clone(c.Resource)
	c.Created, c.Expires = c.Created.UTC(), c.Expires.UTC()
	return c
}

// PutConsent implements storage.Consents.
func (s *Store) PutConsent(ctx context.Context, c storage.Consent) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if client, known := s.clients[c.Client]; !known || client.Disabled || !s.mayHold(c.Subject, c.Epoch) {
			return storage.ErrStale
		}
		put(t, s.consents, consentID{c.Subject, c.Client}, copyConsent(c))
		return nil
	})
}

// ConsentOf implements storage.Consents.
func (s *Store) ConsentOf(ctx context.Context, subject, client string) (c storage.Consent, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if c, ok = s.consents[consentID{subject, client}]; !ok {
			return storage.ErrNotFound
		}
		c = copyConsent(c)
		return nil
	})
	return c, err
}

// DeleteConsent implements storage.Consents.
func (s *Store) DeleteConsent(ctx context.Context, subject, client string) error {
	return s.write(ctx, func(t *tx) error {
		id := consentID{subject, client}
		if _, ok := s.consents[id]; !ok {
			return storage.ErrNotFound
		}
		drop(t, s.consents, id)
		return nil
	})
}

// dropConsents removes the consents that match.
func (s *Store) dropConsents(t *tx, match func(consentID) bool) {
	for id := range s.consents {
		if match(id) {
			drop(t, s.consents, id)
		}
	}
}
