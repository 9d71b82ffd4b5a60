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

// BumpEpoch implements storage.Subjects. With Options.Ended it runs in a transaction.
func (s *Store) BumpEpoch(ctx context.Context, subject string) (epoch int64, err error) {
	return s.bumpAndTell(ctx, subject, 0)
}

// bumpAndTell is bumpTo with the Ended hook.
func (s *Store) bumpAndTell(ctx context.Context, subject string, least int64) (epoch int64, err error) {
	if s.ended == nil {
		return s.bumpTo(ctx, subject, least)
	}
	err = s.atomically(ctx, func(ctx context.Context) error {
		if epoch, err = s.bumpTo(ctx, subject, least); err != nil {
			return err
		}
		return s.ended.Call(ctx, storage.Ending{Subject: subject, Epoch: epoch})
	})
	if err != nil {
		return 0, err
	}
	return epoch, nil
}

// bump changes the epoch and returns the new one.
func (s *Store) bump(ctx context.Context, subject string) (int64, error) {
	return s.bumpTo(ctx, subject, 0)
}

// bumpTo is bump with the least new epoch; 0 means the current time.
func (s *Store) bumpTo(ctx context.Context, subject string, least int64) (int64, error) {
	if err := s.bound(ctx); err != nil {
		return 0, err
	}
	if err := s.users.mine(subject); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.spelled(ctx, subject); err != nil {
		return 0, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	query, args := s.q.bump, []any{subject}
	if least == 0 && s.now != nil {
		least = max(s.now().UnixMicro(), 1)
	}
	if least > 0 {
		query, args = s.q.bumpTo, []any{subject, least}
	}
	var epoch int64
	err = s.retry(ctx, func() error { return s.scanned(ctx, query, args, []any{&epoch}) })
	if errors.Is(err, sql.ErrNoRows) {
		err = new(epochValue).Scan(nil)
	}
	return epoch, err
}

// spelled returns ErrNotFound if subject is another spelling of an account's ID that the ID column
// of the application's table treats as equal, such as one in capitals. Its epoch belongs to no
// account, so bumping it would log out nobody. A subject without an account is not an error.
func (s *Store) spelled(ctx context.Context, subject string) error {
	if s.users.own || !s.users.has(subject) {
		return nil
	}
	var r userRow
	err := s.row(ctx, s.q.userByID, []any{subject}, r.dest())
	if errors.Is(err, sql.ErrNoRows) || err == nil && r.u.ID == subject {
		return nil
	}
	if err == nil {
		err = storage.ErrNotFound
	}
	return err
}

// DeleteSubject implements storage.Subjects.
func (s *Store) DeleteSubject(ctx context.Context, subject string) error {
	return s.revoking(ctx, allPieces, func(ctx context.Context) (bool, error) { return s.forget(ctx, subject) }, s.leftOf(subject))
}

// forget is DeleteSubject in a transaction, for up to one piece of each kind. more reports that
// there may be other records. It calls the Ended hook.
func (s *Store) forget(ctx context.Context, subject string) (more bool, err error) {
	// A transaction that inserts a record of the subject holds this lock, or waits for it.
	if s.users.has(subject) {
		if err := s.lockUser(ctx, subject); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
	}
	epoch, err := s.bump(ctx, subject)
	if err != nil {
		return false, err
	}
	if _, err := s.exec(ctx, s.q.dropTokenOf, subject); err != nil {
		return false, err
	}
	if err := s.SetSubjectPermissions(ctx, subject, nil); err != nil {
		return false, err
	}
	if err := s.SetSubjectGroups(ctx, subject, nil); err != nil {
		return false, err
	}
	if _, err := s.exec(ctx, s.dialect.bind(dropLinks), subject); err != nil {
		return false, err
	}
	if more, err = s.leftOf(subject)(ctx); err != nil {
		return false, err
	}
	return more, s.ended.Call(ctx, storage.Ending{Subject: subject, Epoch: epoch, Deleted: true})
}

// leftOf returns a function that removes a piece of each kind of record of a deleted subject.
func (s *Store) leftOf(subject string) func(context.Context) (more bool, err error) {
	return func(ctx context.Context) (bool, error) {
		families, err := s.familyPieceOf(ctx, "subject", subject)
		if err != nil {
			return false, err
		}
		rows := append(revokedRows(subject), grantRows("subject", subject)...)
		more, err := s.pieces(ctx, append(rows, rowSet{"vestibule_factors", "id", "subject = ?", []any{subject}}))
		return more || families, err
	}
}

// end revokes all credentials of an account by changing its epoch, and deletes up to one piece of
// each kind. more reports that restOf must delete others. It calls the Ended hook and must run in a
// transaction.
func (s *Store) end(ctx context.Context, subject string) (more bool, err error) {
	epoch, err := s.bump(ctx, subject)
	if err != nil {
		return false, err
	}
	if _, err := s.exec(ctx, s.q.dropTokenOf, subject); err != nil {
		return false, err
	}
	if more, err = s.pieces(ctx, revokedRows(subject)); err != nil {
		return false, err
	}
	return more, s.ended.Call(ctx, storage.Ending{Subject: subject, Epoch: epoch})
}

// restOf returns a function that removes a piece of each kind of record that end has left.
func (s *Store) restOf(subject string) func(context.Context) (more bool, err error) {
	return func(ctx context.Context) (bool, error) { return s.pieces(ctx, revokedRows(subject)) }
}

// mayHold returns ErrStale unless the subject exists, is enabled, and has the epoch.
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

// lockHolder is mayHold for transactions that insert a record of the subject. Until the transaction
// ends, the account cannot be deleted or disabled, and no other transaction inserts a record of it.
func (s *Store) lockHolder(ctx context.Context, subject string, epoch int64) error {
	if !s.users.has(subject) {
		return storage.ErrStale
	}
	switch err := s.lockUser(ctx, subject); {
	case errors.Is(err, sql.ErrNoRows):
		return storage.ErrStale
	case err != nil:
		return err
	}
	return s.mayHold(ctx, subject, epoch)
}

// lockUser locks the account's row until the transaction ends. It returns sql.ErrNoRows if there is
// none, or only one that the column treats as equal (see UserByID). It locks such a row, too, but
// nothing changes in it.
func (s *Store) lockUser(ctx context.Context, id string) error {
	var have string
	err := s.row(ctx, s.q.lockUser, []any{id}, []any{&have})
	if err == nil && have != id {
		err = sql.ErrNoRows
	}
	return err
}
