package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
)

const (
	// pieceRows is the maximum number of rows that one statement removes. One account can have very
	// many rows, and a statement that removes all of them could exceed the timeout at every
	// attempt.
	pieceRows = 1000
	// pieceFamilies is the maximum number of families per piece.
	pieceFamilies = 100
	// endPieces is the maximum number of further pieces of each kind that a revoking change removes
	// in a transaction of the caller, whose time is limited.
	endPieces = 10
	// allPieces removes everything, including records without an expiry, because no later call
	// removes the records of a deleted account.
	allPieces = math.MaxInt
	// restTimeouts limits the removal of a deleted account's remaining records to this many store
	// timeouts (a minute by default). DeleteSubject removes records that remain after that.
	restTimeouts = 30
)

// rowSet is a set of rows of one table to remove.
type rowSet struct {
	table, key, where string
	args              []any
}

// revokedRows are the records of a subject that its new epoch has already revoked.
func revokedRows(subject string) []rowSet {
	return []rowSet{
		{"vestibule_device_tokens", "digest", "subject = ?", []any{subject}},
		{"vestibule_onetimes", "digest", "subject = ?", []any{subject}},
		{"vestibule_sessions", "digest", "subject = ?", []any{subject}},
	}
}

// grantRows are the codes, access tokens, requests, device grants and consents of a client or of a
// subject.
func grantRows(column, id string) []rowSet {
	where, args := column+" = ?", []any{id}
	return []rowSet{
		{"vestibule_codes", "digest", where, args},
		{"vestibule_access_tokens", "digest", where, args},
		{"vestibule_auth_requests", "digest", where, args},
		{"vestibule_device_grants", "digest", where, args},
		{"vestibule_consents", "(subject, client)", where, args},
	}
}

// piece removes up to pieceRows rows of p. more reports that there may be others.
func (s *Store) piece(ctx context.Context, p rowSet) (n int, more bool, err error) {
	removed, err := s.exec(ctx, s.pieceQuery(p), append(slices.Clone(p.args), pieceRows)...)
	return int(removed), removed == pieceRows, err
}

func (s *Store) pieceQuery(p rowSet) string {
	return s.dialect.bind(s.dialect.locking(p.table, p.key, p.key+" IN (SELECT "+columnsOf(p.key)+" FROM "+p.table+" WHERE "+p.where+" LIMIT ?)", "DELETE FROM "+p.table))
}

// openCodes returns the unused codes of a subject for a client. A partial index finds them, because
// used codes are kept for a long time.
func openCodes(subject, client string) rowSet {
	return rowSet{"vestibule_codes", "digest", "subject = ? AND client = ? AND NOT used", []any{subject, client}}
}

// pieces calls piece for each set.
func (s *Store) pieces(ctx context.Context, sets []rowSet) (more bool, err error) {
	for _, p := range sets {
		_, m, err := s.piece(ctx, p)
		if err != nil {
			return false, err
		}
		more = more || m
	}
	return more, nil
}

// all removes a whole set of a subject's rows, piece by piece, and returns their number. After an
// error some may have been removed. client is the client that owns the rows, too; "" means none.
func (s *Store) all(ctx context.Context, subject, client string, p rowSet) (total int, err error) {
	if err := s.lockOwners(ctx, subject, client); err != nil {
		return 0, err
	}
	left := s.dialect.bind("SELECT 1 FROM " + p.table + " WHERE " + p.where + " LIMIT 1")
	for {
		n, more, err := s.piece(ctx, p)
		total += n
		if err != nil {
			return total, err
		}
		if more {
			continue
		}
		// There may be fewer because another caller removed some concurrently.
		var one int
		err = s.row(ctx, left, p.args, []any{&one})
		if errors.Is(err, sql.ErrNoRows) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// familyPiece removes families and up to pieceRows of their tokens. It locks the families first, so
// that it waits for a running claim and removes the successor, too. It must run in a transaction.
func (s *Store) familyPiece(ctx context.Context, where string, args ...any) (families int, more bool, err error) {
	var ids []any
	pick := s.dialect.bind("SELECT id FROM vestibule_families WHERE id IN (SELECT id FROM vestibule_families WHERE " + where + ") ORDER BY id")
	err = s.rows(ctx, pick+s.dialect.forUpdate(), args, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, false, err
	}
	in := " IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ") + ")"
	switch _, more, err = s.piece(ctx, rowSet{"vestibule_refresh_tokens", "digest", "family" + in, ids}); {
	case err != nil:
		return 0, false, err
	case more:
		return 0, true, nil
	}
	n, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_families WHERE id"+in), ids...)
	return int(n), true, err
}

// familyPieceOf calls familyPiece for the families of a client or of a subject.
func (s *Store) familyPieceOf(ctx context.Context, column, id string) (more bool, err error) {
	if id == "" {
		return false, nil
	}
	n, more, err := s.familyPiece(ctx, column+" = ? LIMIT ?", id, pieceFamilies)
	return more && (n == 0 || n >= pieceFamilies), err
}

// revoking runs fn in a transaction. If fn has revoked credentials by their epoch but has not
// removed all of them (more), rest removes the remaining ones afterwards, piece by piece, so that
// the change itself never fails because of their number. In a transaction of the caller, rest runs
// within it, for up to pieces pieces, because nothing runs after it. Records that still remain are
// invalid; they are removed when they expire, or with the account.
func (s *Store) revoking(ctx context.Context, pieces int, fn func(context.Context) (more bool, err error), rest func(context.Context) (more bool, err error)) error {
	var more bool
	err := s.atomically(ctx, func(ctx context.Context) (err error) {
		more, err = fn(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if s.tx(ctx) != nil {
		for ; more && pieces > 0 && err == nil; pieces-- {
			more, err = rest(ctx)
		}
		return err
	}
	// The change is committed, so the removal continues even if the caller's context ends.
	most := 2 * s.timeout
	if pieces == allPieces {
		most = restTimeouts * s.timeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer cancel()
	for more {
		err := s.atomically(ctx, func(ctx context.Context) (err error) {
			more, err = rest(ctx)
			return err
		})
		if err != nil {
			break
		}
	}
	return nil
}
