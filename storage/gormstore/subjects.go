package gormstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

// SubjectEpoch implements storage.Subjects.
func (s *Store) SubjectEpoch(ctx context.Context, subject string) (int64, error) {
	if err := s.bound(ctx); err != nil {
		return 0, err
	}
	if s.users.mine(subject) != nil {
		return 0, nil
	}
	var epoch int64
	err := s.row(ctx, s.q.epoch, []any{subject}, []any{(*epochValue)(&epoch)})
	return epoch, err
}

// BumpEpoch implements storage.Subjects. With Options.Ended it is a transaction.
func (s *Store) BumpEpoch(ctx context.Context, subject string) (epoch int64, err error) {
	if s.ended == nil {
		return s.bump(ctx, subject)
	}
	err = s.atomically(ctx, func(ctx context.Context) error {
		if epoch, err = s.bump(ctx, subject); err != nil {
			return err
		}
		return s.ended.Call(ctx, storage.Ending{Subject: subject, Epoch: epoch})
	})
	if err != nil {
		return 0, err
	}
	return epoch, nil
}

// bump moves the epoch.
func (s *Store) bump(ctx context.Context, subject string) (int64, error) {
	if err := s.bound(ctx); err != nil {
		return 0, err
	}
	if err := s.users.mine(subject); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	query, args := s.q.bump, []any{subject}
	if s.now != nil {
		query, args = s.q.bumpTo, []any{subject, max(s.now().UnixMicro(), 1)}
	}
	var epoch int64
	err = s.retry(ctx, func() error { return s.pool(ctx).QueryRowContext(ctx, query, args...).Scan(&epoch) })
	if errors.Is(err, sql.ErrNoRows) {
		err = new(epochValue).Scan(nil)
	}
	return epoch, err
}

// ForgetSubject implements storage.Subjects.
func (s *Store) ForgetSubject(ctx context.Context, subject string) error {
	return s.atomically(ctx, func(ctx context.Context) error {
		// Who is about to insert something for the subject holds this lock, or waits.
		if s.users.has(subject) {
			var one int
			if err := s.row(ctx, s.q.lockUser, []any{subject}, []any{&one}); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		epoch, err := s.end(ctx, subject)
		if err != nil {
			return err
		}
		if _, err := s.dropFamilies(ctx, " WHERE subject = ?", subject); err != nil {
			return err
		}
		if err := s.dropGrants(ctx, "subject", subject); err != nil {
			return err
		}
		if err := s.SetSubjectPermissions(ctx, subject, nil); err != nil {
			return err
		}
		if err := s.SetSubjectGroups(ctx, subject, nil); err != nil {
			return err
		}
		return s.ended.Call(ctx, storage.Ending{Subject: subject, Epoch: epoch, Deleted: true})
	})
}

// end deletes the subject's credentials and returns its new epoch. It runs in a transaction.
func (s *Store) end(ctx context.Context, subject string) (int64, error) {
	epoch, err := s.bump(ctx, subject)
	if err != nil {
		return 0, err
	}
	if _, err := s.exec(ctx, s.q.dropTokenOf, subject); err != nil {
		return 0, err
	}
	if _, err := s.DeleteAllCredentialsOf(ctx, subject); err != nil {
		return 0, err
	}
	if _, err := s.exec(ctx, s.dialect.bind(endOneTimes), subject); err != nil {
		return 0, err
	}
	_, err = s.EndSessionsOf(ctx, subject, "")
	return epoch, err
}

// endAndTell is end for an account that stays.
func (s *Store) endAndTell(ctx context.Context, subject string) error {
	epoch, err := s.end(ctx, subject)
	if err != nil {
		return err
	}
	return s.ended.Call(ctx, storage.Ending{Subject: subject, Epoch: epoch})
}

// mayHold returns ErrStale unless the subject exists, is active, and has the epoch.
func (s *Store) mayHold(ctx context.Context, subject string, epoch int64) error {
	if !s.users.has(subject) {
		return storage.ErrStale
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	var one int
	err := s.row(ctx, s.q.mayHold, []any{subject, epoch}, []any{&one})
	if errors.Is(err, sql.ErrNoRows) {
		return s.stale(ctx)
	}
	return err
}

// lockHolder is mayHold for who inserts: until the transaction ends the account
// can not be deleted or disabled, and nobody else inserts for it.
func (s *Store) lockHolder(ctx context.Context, subject string, epoch int64) error {
	if !s.users.has(subject) {
		return storage.ErrStale
	}
	var one int
	switch err := s.row(ctx, s.q.lockUser, []any{subject}, []any{&one}); {
	case errors.Is(err, sql.ErrNoRows):
		return storage.ErrStale
	case err != nil:
		return err
	}
	return s.mayHold(ctx, subject, epoch)
}
