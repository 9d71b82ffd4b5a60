package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copyCredential(c storage.Credential) storage.Credential {
	c.Scopes, c.Data = slices.Clone(c.Scopes), slices.Clone(c.Data)
	c.Created, c.Expires, c.LastUsed, c.Max = c.Created.UTC(), c.Expires.UTC(), c.LastUsed.UTC(), c.Max.UTC()
	return c
}

// CredentialByDigest implements storage.Credentials.
func (s *Store) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (c storage.Credential, u storage.User, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if c, ok = s.creds[d]; !ok || c.Purpose != purpose {
			return storage.ErrNotFound
		}
		u, err = s.user(c.Subject)
		return err
	})
	if err != nil {
		return storage.Credential{}, storage.User{}, err
	}
	return copyCredential(c), u, nil
}

// ListCredentials implements storage.CredentialList.
func (s *Store) ListCredentials(ctx context.Context, purpose, subject string, limit int) (list []storage.Credential, err error) {
	err = s.read(ctx, func() error {
		list = s.credentialsOf(purpose, subject)
		return nil
	})
	slices.SortFunc(list, func(a, b storage.Credential) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return list[:min(max(limit, 0), len(list))], err
}

// CountCredentials implements storage.CredentialCount.
func (s *Store) CountCredentials(ctx context.Context, purpose, subject string) (n int, err error) {
	err = s.read(ctx, func() error {
		for _, d := range s.held[subject] {
			if c := s.creds[d]; c.Purpose == purpose && c.Epoch == s.epochOf(subject) {
				n++
			}
		}
		return nil
	})
	return n, err
}

// credentialsOf returns copies of the subject's credentials that have the purpose and the current
// epoch, the oldest first. The caller holds the lock.
func (s *Store) credentialsOf(purpose, subject string) (list []storage.Credential) {
	for _, d := range s.held[subject] {
		if c := s.creds[d]; c.Purpose == purpose && c.Epoch == s.epochOf(subject) {
			list = append(list, copyCredential(c))
		}
	}
	slices.SortFunc(list, func(a, b storage.Credential) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// CreateCredential implements storage.Credentials.
func (s *Store) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) (evicted []storage.Credential, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	err = s.write(ctx, func(t *tx) error {
		if !s.mayHold(c.Subject, c.Epoch) {
			return storage.ErrStale
		}
		if _, taken := s.creds[c.Digest]; taken {
			return storage.ErrConflict
		}
		if _, taken := s.held[c.Subject][c.ID]; taken {
			return storage.ErrConflict
		}
		if l.Max > 0 {
			live := slices.DeleteFunc(s.credentialsOf(c.Purpose, c.Subject), func(c storage.Credential) bool { return c.Expired(l.Now) })
			if len(live) >= l.Max && !l.Evict {
				return storage.ErrLimit
			}
			evicted = live[:max(0, len(live)-l.Max+1)]
		}
		for _, old := range evicted {
			s.dropCredential(t, old.Digest)
		}
		put(t, s.creds, c.Digest, copyCredential(c))
		join(t, s.held, c.Subject, c.ID, c.Digest)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return evicted, nil
}

// mayHold reports whether the subject exists, is enabled, and has the epoch. The caller holds the
// lock.
func (s *Store) mayHold(subject string, epoch int64) bool {
	u, ok := s.users[subject]
	return ok && u.Active && s.epochOf(subject) == epoch
}

func (s *Store) dropCredential(t *tx, d storage.Digest) {
	c := s.creds[d]
	drop(t, s.creds, d)
	leave(t, s.held, c.Subject, c.ID)
}

// TouchCredential implements storage.Credentials.
func (s *Store) TouchCredential(ctx context.Context, purpose string, d storage.Digest, used, expires, before time.Time) (touched bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		c, ok := s.creds[d]
		if !ok || c.Purpose != purpose || c.Expired(used) || c.LastUsed.After(before) {
			return nil
		}
		correct := before.After(used)
		if correct && !c.LastUsed.After(used) {
			return nil
		}
		c.LastUsed = used.UTC()
		if !c.Max.IsZero() && expires.After(c.Max) {
			expires = c.Max
		}
		if !c.Expires.IsZero() && !expires.IsZero() && (correct || expires.After(c.Expires)) {
			c.Expires = expires.UTC()
		}
		put(t, s.creds, d, c)
		touched = true
		return nil
	})
	return touched && err == nil, err
}

// DeleteCredential implements storage.Credentials.
func (s *Store) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	return s.write(ctx, func(t *tx) error {
		d, ok := s.held[subject][id]
		if !ok || s.creds[d].Purpose != purpose {
			return storage.ErrNotFound
		}
		s.dropCredential(t, d)
		return nil
	})
}

// DeleteCredentialsOf implements storage.CredentialList.
func (s *Store) DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (int, error) {
	return s.dropCredentials(ctx, subject, func(c *storage.Credential) bool {
		return c.Purpose == purpose && (keep == "" || c.ID != keep)
	})
}

// DeleteAllCredentialsOf implements storage.CredentialList.
func (s *Store) DeleteAllCredentialsOf(ctx context.Context, subject string) (int, error) {
	return s.dropCredentials(ctx, subject, func(*storage.Credential) bool { return true })
}

func (s *Store) dropCredentials(ctx context.Context, subject string, which func(*storage.Credential) bool) (int, error) {
	return s.count(ctx, func(t *tx) (n int) {
		for _, d := range s.held[subject] {
			if c := s.creds[d]; which(&c) {
				s.dropCredential(t, d)
				n++
			}
		}
		return n
	})
}

// CredentialPurposes implements storage.CredentialList.
func (s *Store) CredentialPurposes(ctx context.Context, subject string) (list []string, err error) {
	err = s.read(ctx, func() error {
		for _, d := range s.held[subject] {
			if c := s.creds[d]; c.Epoch == s.epochOf(subject) {
				list = append(list, c.Purpose)
			}
		}
		return nil
	})
	slices.Sort(list)
	return slices.Compact(list), err
}
