package gormstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

// SubjectEpoch implements storage.Subjects.
func (s *Store) SubjectEpoch(ctx context.Context, subject string) (int64, error) {
	if storage.CheckID("subject", subject) != nil {
		return 0, nil
	}
	var epoch int64
	err := s.row(ctx, s.q.epoch, []any{subject}, []any{&epoch})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return epoch, err
}

// BumpEpoch implements storage.Subjects.
func (s *Store) BumpEpoch(ctx context.Context, subject string) (int64, error) {
	if err := storage.CheckID("subject", subject); err != nil {
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
	return epoch, err
}

// ForgetSubject implements storage.Subjects.
func (s *Store) ForgetSubject(ctx context.Context, subject string) error {
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.end(ctx, subject); err != nil {
			return err
		}
		if err := s.SetSubjectPermissions(ctx, subject, nil); err != nil {
			return err
		}
		return s.SetSubjectGroups(ctx, subject, nil)
	})
}

// end takes the subject's credentials away. It runs in a transaction.
func (s *Store) end(ctx context.Context, subject string) error {
	if _, err := s.BumpEpoch(ctx, subject); err != nil {
		return err
	}
	_, err := s.exec(ctx, s.q.dropTokenOf, subject)
	return err
}
