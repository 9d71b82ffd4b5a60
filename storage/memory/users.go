package memory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// user returns a copy of the account with its current epoch. The caller holds the lock.
func (s *Store) user(id string) (storage.User, error) {
	u, ok := s.users[id]
	if !ok {
		return storage.User{}, storage.ErrNotFound
	}
	u.Roles = slices.Clone(u.Roles)
	u.Epoch = s.epochOf(id)
	return u, nil
}

// UserByID implements storage.Users.
func (s *Store) UserByID(ctx context.Context, id string) (u storage.User, err error) {
	err = s.read(ctx, func() error {
		u, err = s.user(id)
		return err
	})
	return u, err
}

// UserByName implements storage.Users.
func (s *Store) UserByName(ctx context.Context, name string) (u storage.User, err error) {
	err = s.read(ctx, func() error {
		u, err = s.user(s.names[name])
		return err
	})
	return u, err
}

// ListUsers implements storage.Users. It sorts all accounts at each call.
func (s *Store) ListUsers(ctx context.Context, after string, limit int) (users []storage.User, err error) {
	err = s.read(ctx, func() error {
		for name, id := range s.names {
			if name > after {
				u, err := s.user(id)
				if err != nil {
					return err
				}
				users = append(users, u)
			}
		}
		return nil
	})
	slices.SortFunc(users, func(a, b storage.User) int { return strings.Compare(a.Name, b.Name) })
	return users[:min(max(limit, 0), len(users))], err
}

// CreateUser implements storage.Users.
func (s *Store) CreateUser(ctx context.Context, u storage.User) error {
	if err := errors.Join(u.Check(), storage.CheckSpace(s.space)); err != nil {
		return err
	}
	if err := s.checkSubject(u.ID); err != nil {
		return err
	}
	u = u.InSpace(s.space)
	return s.write(ctx, func(t *tx) error {
		_, idTaken := s.users[u.ID]
		_, nameTaken := s.names[u.Name]
		if idTaken || nameTaken {
			return storage.ErrConflict
		}
		u.Roles, u.Created = slices.Clone(u.Roles), u.Created.UTC()
		put(t, s.users, u.ID, u)
		put(t, s.names, u.Name, u.ID)
		return nil
	})
}

// change runs f on a copy of the account and stores the result.
func (s *Store) change(ctx context.Context, id string, f func(*tx, *storage.User) error) error {
	return s.write(ctx, func(t *tx) error {
		u, ok := s.users[id]
		if !ok {
			return storage.ErrNotFound
		}
		if err := f(t, &u); err != nil {
			return err
		}
		put(t, s.users, id, u)
		return nil
	})
}

// SetPassword implements storage.Accounts.
func (s *Store) SetPassword(ctx context.Context, id string, hash storage.PasswordHash) error {
	return s.change(ctx, id, func(t *tx, u *storage.User) error {
		u.Password = hash
		s.end(t, id, false)
		return nil
	})
}

// ChangePassword implements storage.Accounts.
func (s *Store) ChangePassword(ctx context.Context, id string, epoch int64, hash storage.PasswordHash) error {
	return s.change(ctx, id, func(t *tx, u *storage.User) error {
		if !u.Active || s.epochOf(id) != epoch {
			return storage.ErrStale
		}
		u.Password = hash
		s.end(t, id, false)
		return nil
	})
}

// ReplaceHash implements storage.Accounts.
func (s *Store) ReplaceHash(ctx context.Context, id string, old, new storage.PasswordHash) error {
	return s.change(ctx, id, func(_ *tx, u *storage.User) error {
		if u.Password != old {
			return storage.ErrConflict
		}
		u.Password = new
		return nil
	})
}

// SetActive implements storage.Accounts.
func (s *Store) SetActive(ctx context.Context, id string, active bool) error {
	return s.change(ctx, id, func(t *tx, u *storage.User) error {
		u.Active = active
		if !active {
			s.end(t, id, false)
		}
		return nil
	})
}

// SetRoles implements storage.Accounts.
func (s *Store) SetRoles(ctx context.Context, id string, roles ...string) error {
	if err := storage.CheckRoles(roles); err != nil {
		return err
	}
	return s.change(ctx, id, func(t *tx, u *storage.User) error {
		s.note(t, changed{subject: id})
		u.Roles = slices.Clone(roles)
		return nil
	})
}

// DeleteUser implements storage.Accounts.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.write(ctx, func(t *tx) error {
		u, ok := s.users[id]
		if !ok {
			return storage.ErrNotFound
		}
		drop(t, s.users, id)
		drop(t, s.names, u.Name)
		s.forget(t, id)
		return nil
	})
}

// SubjectEpoch implements storage.Subjects.
func (s *Store) SubjectEpoch(ctx context.Context, subject string) (epoch int64, err error) {
	err = s.read(ctx, func() error {
		epoch = s.epochOf(subject)
		return nil
	})
	return epoch, err
}

// BumpEpoch implements storage.Subjects.
func (s *Store) BumpEpoch(ctx context.Context, subject string) (epoch int64, err error) {
	if err := s.checkSubject(subject); err != nil {
		return 0, err
	}
	err = s.write(ctx, func(t *tx) error {
		epoch = s.bump(t, subject, false)
		return nil
	})
	return epoch, err
}

// DeleteSubject implements storage.Subjects.
func (s *Store) DeleteSubject(ctx context.Context, subject string) error {
	if err := s.checkSubject(subject); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		s.forget(t, subject)
		return nil
	})
}

// bump moves the subject's epoch and records the change for Options.Ended.
func (s *Store) bump(t *tx, subject string, deleted bool) int64 {
	return s.bumpTo(t, subject, s.now().UnixMicro(), deleted)
}

// bumpTo is bump with the least new epoch.
func (s *Store) bumpTo(t *tx, subject string, least int64, deleted bool) int64 {
	epoch := max(s.epochOf(subject)+1, least)
	put(t, s.epochs, subject, epoch)
	if s.ended != nil {
		t.endings = append(t.endings, storage.Ending{Subject: subject, Epoch: epoch, Deleted: deleted})
	}
	return epoch
}

// end bumps the epoch and deletes the subject's tokens, credentials and sessions.
func (s *Store) end(t *tx, subject string, deleted bool) {
	s.bump(t, subject, deleted)
	s.dropToken(t, subject)
	for _, d := range s.held[subject] {
		s.dropCredential(t, d)
	}
	for d := range s.userSessions[subject] {
		s.dropSession(t, d)
	}
	for d := range s.userOneTimes[subject] {
		s.dropOneTime(t, d)
	}
}

func (s *Store) forget(t *tx, subject string) {
	s.end(t, subject, true)
	drop(t, s.perms, subject)
	drop(t, s.groups, subject)
	s.dropFactors(t, subject)
	s.dropConsents(t, func(c consentID) bool { return c.subject == subject })
	s.dropLinks(t, subject)
	for id := range s.began[subject] {
		s.dropFamily(t, id)
	}
	for d := range s.subjectCodes[subject] {
		s.dropCode(t, d)
	}
	s.dropDeviceGrants(t, func(g storage.DeviceGrant) bool { return g.Subject == subject })
	s.dropAuthRequests(t, func(a storage.AuthRequest) bool { return a.Subject == subject })
	for d, a := range s.access {
		if a.Subject == subject {
			s.dropAccess(t, d)
		}
	}
}
