package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"hash/maphash"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// NameFault is a problem that CheckNames reports.
type NameFault struct {
	// Problem is NameMissing, NameRefused, NameNotCanonical or NameShared.
	Problem string
	// IDs are subjects: one account, or two accounts that share a name (NameShared). Names are not
	// reported, so a log of faults contains no e-mail addresses.
	IDs []string
}

// String returns the problem with the accounts that have it, such as "account ID 2: the name is
// missing".
func (f NameFault) String() string {
	ids := "account ID "
	if len(f.IDs) > 1 {
		ids = "account IDs "
	}
	return ids + strings.Join(f.IDs, ", ") + ": " + f.Problem
}

// The problems of NameFault. An account with any of them cannot log in with its name. Its tokens
// and sessions still work.
const (
	NameMissing      = "the name is missing"                        // NULL or ""
	NameRefused      = "the name has no canonical form"             // canonical returns an error
	NameNotCanonical = "the name is not in its canonical form"      // no login looks it up
	NameShared       = "the name, in canonical form, is not unique" // none of the accounts can log in
)

const (
	namePage    = 1000    // rows per query
	namesInPass = 100_000 // maximum number of names that a pass keeps, as 8 bytes and an ID each
)

// CheckNames reads the account table and reports active accounts that cannot log in with their
// name. canonical is the function that the login uses (password.Options.Canonical). Run it in a job
// before you start to use an existing table. It changes nothing.
//
// It uses bounded memory: it reads pages of 1,000 rows, and reads the table several times if many
// names are not canonical. The timeout for reading a page is one minute.
//
// If report returns an error, CheckNames stops and returns it. Any other error is a store failure.
func (s *Store) CheckNames(ctx context.Context, canonical func(string) (string, error), report func(NameFault) error) error {
	if err := s.bound(ctx); err != nil {
		return err
	}
	p := s.patient()
	p.recorded.Store(true)
	notCanonical := 0
	err := p.walkNames(ctx, func(page []namedRow) error {
		for _, r := range page {
			form, problem := r.judge(canonical)
			if problem == "" {
				continue
			}
			if err := report(NameFault{problem, []string{r.id}}); err != nil {
				return err
			}
			if form == "" {
				continue
			}
			notCanonical++
			switch other, err := p.UserByName(ctx, form); {
			case errors.Is(err, storage.ErrNotFound) || err == nil && !other.Active:
			case err != nil:
				return err
			default:
				if err := report(NameFault{NameShared, []string{other.ID, r.id}}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.sharedNames(ctx, func(a, b string) error { return report(NameFault{NameShared, []string{a, b}}) }); err != nil {
		return err
	}
	// The canonical forms of different names can be equal.
	seed := maphash.MakeSeed()
	passes := (notCanonical + namesInPass - 1) / namesInPass
	for pass := range passes {
		first := make(map[uint64]string)
		err := p.walkNames(ctx, func(page []namedRow) error {
			for _, r := range page {
				form, problem := r.judge(canonical)
				h := maphash.String(seed, form)
				if problem == "" || form == "" || h%uint64(passes) != uint64(pass) {
					continue
				}
				if id, seen := first[h]; !seen {
					first[h] = r.id
				} else if err := report(NameFault{NameShared, []string{id, r.id}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// namedRow is the ID and name of an active account.
type namedRow struct {
	id   string
	name sql.NullString
}

// judge returns the canonical form of the name and the problem with it. The form is "" if there is
// none.
func (r namedRow) judge(canonical func(string) (string, error)) (form, problem string) {
	if r.name.String == "" {
		return "", NameMissing
	}
	form, err := canonical(r.name.String)
	switch {
	case err != nil:
		return "", NameRefused
	case form != r.name.String:
		return form, NameNotCanonical
	}
	return form, ""
}

// walkNames reads the active accounts in pages, in order of ID.
func (s *Store) walkNames(ctx context.Context, f func([]namedRow) error) error {
	u := s.users
	query, args := "SELECT "+u.subject("u.id")+", "+u.login+" FROM "+u.source+" u WHERE u.active", []any(nil)
	for {
		var page []namedRow
		err := s.rows(ctx, s.dialect.bind(query+" ORDER BY u.id LIMIT ?"), append(args, namePage), func(rows *sql.Rows) error {
			var r namedRow
			err := rows.Scan(&r.id, &r.name)
			page = append(page, r)
			return err
		})
		if err != nil {
			return err
		}
		if err := f(page); err != nil || len(page) < namePage {
			return err
		}
		if args == nil {
			query += " AND u.id > " + u.param()
		}
		args = []any{page[len(page)-1].id}
	}
}

// sharedNames reports two accounts for each name that several active accounts have, byte for byte.
func (s *Store) sharedNames(ctx context.Context, report func(a, b string) error) error {
	u := s.users
	name, id := u.login, u.subject("u.id")
	collation := " COLLATE BINARY"
	if s.dialect == postgres {
		collation = ` COLLATE "C"`
	}
	name = "CAST(" + name + " AS TEXT)" + collation
	id = "CAST(" + id + " AS TEXT)" + collation
	query := "SELECT " + name + ", MIN(" + id + "), MAX(" + id + ") FROM " + u.source + " u WHERE u.active AND " + name + " > ? GROUP BY 1 HAVING COUNT(*) > 1 ORDER BY 1 LIMIT ?"
	for after := ""; ; {
		var pairs [][3]string
		err := s.rows(ctx, s.dialect.bind(query), []any{after, namePage}, func(rows *sql.Rows) error {
			var p [3]string
			err := rows.Scan(&p[0], &p[1], &p[2])
			pairs = append(pairs, p)
			return err
		})
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := report(p[1], p[2]); err != nil {
				return err
			}
		}
		if len(pairs) < namePage {
			return nil
		}
		after = pairs[len(pairs)-1][0]
	}
}
