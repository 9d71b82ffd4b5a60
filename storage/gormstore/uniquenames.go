package gormstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// maxFaults is the maximum number of faults that CheckSchema returns.
const maxFaults = 10

var errEnough = errors.New("maximum number of faults")

// checkNames is the part of CheckSchema that checks names. Each of the joined errors names the table,
// because tools print them one by one.
func (s *Store) checkNames(ctx context.Context) error {
	var found []error
	inTable := func(err error) error { return fmt.Errorf("gormstore: user table %s: %w", s.users.Table, err) }
	add := func(f NameFault) error {
		found = append(found, inTable(errors.New(f.String())))
		if len(found) == maxFaults {
			return errEnough
		}
		return nil
	}
	finish := func(err error) error {
		if errors.Is(err, errEnough) {
			err = fmt.Errorf("more may follow after these %d (call CheckNames for all)", maxFaults)
		}
		if err != nil {
			err = inTable(err)
		}
		return errors.Join(errors.Join(found...), err)
	}
	if s.canon != nil {
		if err := s.CheckNames(ctx, s.canon, add); err != nil {
			return finish(err)
		}
	}
	unique, related, err := s.uniqueName(ctx)
	if err != nil || unique {
		return finish(err)
	}
	if s.canon == nil {
		if err := s.patient().sharedNames(ctx, func(a, b string) error { return add(NameFault{NameShared, []string{a, b}}) }); err != nil {
			return finish(err)
		}
	}
	if len(found) == 0 && !related {
		err = fmt.Errorf("no unique index on %s, so two active accounts can get the same name (CREATE UNIQUE INDEX accounts_name ON %s (%s) WHERE %s)", s.users.Name, s.users.Table, s.users.Name, s.users.Active)
	}
	return finish(err)
}

// uniqueName reports whether an index makes the names of active accounts unique. related reports
// that there is a unique index over the name column that this package cannot evaluate.
func (s *Store) uniqueName(ctx context.Context) (unique, related bool, err error) {
	if s.users.own {
		return true, true, nil
	}
	indexes, isTable, err := s.uniqueIndexes(ctx)
	if err != nil {
		return false, false, err
	}
	for _, x := range indexes {
		related = related || strings.Contains(strings.ToLower(x.keys), strings.ToLower(s.users.Name))
		if strings.EqualFold(strings.Trim(x.keys, "\"`"), s.users.Name) && implied(x.where, s.users.Active) {
			return true, true, nil
		}
	}
	return false, related || !isTable, nil // a view has no indexes
}

// uniqueIndex is a unique index of the user table: its columns or expressions, and its condition.
type uniqueIndex struct{ keys, where string }

func (s *Store) uniqueIndexes(ctx context.Context) (all []uniqueIndex, isTable bool, err error) {
	schema, table, found := strings.Cut(s.users.Table, ".")
	if !found {
		schema, table = "main", schema
	}
	kind := "SELECT COALESCE((SELECT type FROM " + s.dialect.quote(schema) + ".sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')), '')"
	query := "SELECT COALESCE((SELECT group_concat(COALESCE(i.name, 'an expression'), ', ') FROM pragma_index_info(l.name) i), ''), COALESCE((SELECT m.sql FROM " +
		s.dialect.quote(schema) + ".sqlite_master m WHERE m.type = 'index' AND m.name = l.name), '') FROM pragma_index_list(?) l WHERE l.\"unique\" = 1" +
		" UNION ALL SELECT p.name, '' FROM pragma_table_info(?) p WHERE p.pk = 1 AND (SELECT COUNT(*) FROM pragma_table_info(?) q WHERE q.pk > 0) = 1"
	args := []any{table, table, table}
	if s.dialect == postgres {
		table = s.dialect.quote(s.users.Table)
		kind = "SELECT COALESCE((SELECT CAST(relkind AS TEXT) FROM pg_catalog.pg_class WHERE oid = to_regclass($1)), '')"
		query = "SELECT (SELECT string_agg(pg_get_indexdef(x.indexrelid, CAST(k AS INTEGER), TRUE), ', ' ORDER BY k) FROM generate_series(1, x.indnkeyatts) k), COALESCE(pg_get_expr(x.indpred, x.indrelid), '')" +
			" FROM pg_catalog.pg_index x WHERE x.indrelid = to_regclass($1) AND x.indisunique AND x.indisvalid"
		args = []any{table}
	}
	var is string
	if err := s.row(ctx, kind, []any{table}, []any{&is}); err != nil {
		return nil, false, err
	}
	err = s.rows(ctx, query, args, func(rows *sql.Rows) error {
		var x uniqueIndex
		if err := rows.Scan(&x.keys, &x.where); err != nil {
			return err
		}
		if s.dialect == sqlite { // the whole statement
			statement := x.where
			if _, x.where, _ = cutFold(statement, " where "); strings.Contains(x.keys, "an expression") {
				x.keys += " " + statement
			}
		}
		all = append(all, x)
		return nil
	})
	return all, is == "table" || is == "r" || is == "p", err
}

// cutFold is strings.Cut that ignores the case of ASCII letters.
func cutFold(s, sep string) (before, after string, found bool) {
	flat := strings.Join(strings.Fields(s), " ")
	if i := strings.Index(strings.ToLower(flat), sep); i >= 0 {
		return flat[:i], flat[i+len(sep):], true
	}
	return flat, "", false
}

// implied reports whether an index with the condition where contains every row that meets the
// condition active. That is so if each part of where is a part of active.
func implied(where, active string) bool {
	if where == "" {
		return true
	}
	flat := func(s string) string {
		return strings.Join(strings.Fields(strings.ToLower(strings.NewReplacer("(", " ", ")", " ", `"`, "", "`", "").Replace(s))), " ")
	}
	w, a := flat(where), flat(active)
	if strings.Contains(" "+w+" "+a+" ", " or ") || strings.Contains(w+a, "'") {
		return w == a
	}
	parts := map[string]bool{}
	for _, p := range strings.Split(a, " and ") {
		parts[cmp.Or(p, " ")] = true
	}
	for _, p := range strings.Split(w, " and ") {
		if !parts[p] {
			return false
		}
	}
	return true
}
