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
	// pieceRows is how many rows one statement removes. One account can have very many, and a
	// statement that takes all of them at once may fail at the timeout, each time it is tried.
	pieceRows = 1000
	// pieceFamilies is how many families are looked at together.
	pieceFamilies = 100
	// endPieces is how many pieces of each kind more a change that ends credentials removes in a
	// transaction of the caller, whose time is limited.
	endPieces = 10
	// allPieces leaves nothing, not even what has no expiry: no later call removes the records of
	// an account that is gone.
	allPieces = math.MaxInt
	// restTimeouts is for how many timeouts of the store (a minute by default) the rest of an account
	// that is gone is removed. What is left then can be removed by DeleteSubject.
	restTimeouts = 30
)

// pile is the rows of one table that have to go.
type pile struct {
	table, key, where string
	args              []any
}

// pilesOf are the credentials of a subject that its epoch has ended anyway.
func pilesOf(subject string) []pile {
	return []pile{
		{"vestibule_device_tokens", "digest", "subject = ?", []any{subject}},
		{"vestibule_onetimes", "digest", "subject = ?", []any{subject}},
		{"vestibule_sessions", "digest", "subject = ?", []any{subject}},
	}
}

// grantPiles are the codes, access tokens, requests, device grants and consents of a client or
// of a subject.
func grantPiles(column, id string) []pile {
	where, args := column+" = ?", []any{id}
	return []pile{
		{"vestibule_codes", "digest", where, args},
		{"vestibule_access_tokens", "digest", where, args},
		{"vestibule_auth_requests", "digest", where, args},
		{"vestibule_device_grants", "digest", where, args},
		{"vestibule_consents", "(subject, client)", where, args},
	}
}

// piece removes up to pieceRows rows of p. more: there may be others.
func (s *Store) piece(ctx context.Context, p pile) (n int, more bool, err error) {
	removed, err := s.exec(ctx, s.pieceQuery(p), append(slices.Clone(p.args), pieceRows)...)
	return int(removed), removed == pieceRows, err
}

func (s *Store) pieceQuery(p pile) string {
	return s.dialect.bind(s.dialect.locking(p.table, p.key, p.key+" IN (SELECT "+columnsOf(p.key)+" FROM "+p.table+" WHERE "+p.where+" LIMIT ?)", "DELETE FROM "+p.table))
}

// openCodes are the codes of a subject for a client that were not used. A partial index has them:
// used ones stay for long.
func openCodes(subject, client string) pile {
	return pile{"vestibule_codes", "digest", "subject = ? AND client = ? AND NOT used", []any{subject, client}}
}

// pieces is piece for each pile.
func (s *Store) pieces(ctx context.Context, piles []pile) (more bool, err error) {
	for _, p := range piles {
		_, m, err := s.piece(ctx, p)
		if err != nil {
			return false, err
		}
		more = more || m
	}
	return more, nil
}

// all removes a whole pile of a subject, piece by piece, and returns how many rows it had. With an
// error some may be gone. client is whose the rows are too, "" for nobody.
func (s *Store) all(ctx context.Context, subject, client string, p pile) (total int, err error) {
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
		// Fewer than asked for may be what another caller removed at the same time.
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

// familyPiece removes families with all their tokens, up to pieceRows of these. It locks the
// families first, so that a claim that holds one is waited for, and its successor is removed too.
// It runs in a transaction.
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
	switch _, more, err = s.piece(ctx, pile{"vestibule_refresh_tokens", "digest", "family" + in, ids}); {
	case err != nil:
		return 0, false, err
	case more:
		return 0, true, nil
	}
	n, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_families WHERE id"+in), ids...)
	return int(n), true, err
}

// familyPieceOf is familyPiece for the families of a client or of a subject.
func (s *Store) familyPieceOf(ctx context.Context, column, id string) (more bool, err error) {
	if id == "" {
		return false, nil
	}
	n, more, err := s.familyPiece(ctx, column+" = ? LIMIT ?", id, pieceFamilies)
	return more && (n == 0 || n >= pieceFamilies), err
}

// revoking runs fn in a transaction. Where fn has ended credentials by their epoch but not
// removed all of them (more), the rest is removed afterwards by rest, piece by piece, so that
// the change itself never fails for their number. In a transaction of the caller rest runs within
// it, up to so many pieces, since nothing runs after it. What still stays is worth nothing; it is
// removed when it expires, or with the account.
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
	// The change is done, so a caller that leaves now does not keep the rest from being removed.
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
