package gormstore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// MigrateTriggers creates or replaces triggers on the account table of Options.Users. They write a
// message for each changed or deleted account, whichever program makes the change. Call it once, as
// the owner of the table, after Migrate. Without them, a cache keeps answers with accounts for at
// most 30 seconds.
//
// The triggers watch the mapped columns, or the whole row if Active or Roles is an expression. They
// cannot watch RolesList, or an expression that reads other tables, calls functions or depends on
// the time. In these cases the limit of 30 seconds remains, and [Store.AccountsTold] returns false.
// For the table vestibule_users, the migrations create the triggers.
//
// With SQLite it returns ErrCourier.
func (s *Store) MigrateTriggers(ctx context.Context) error {
	if s.dialect == sqlite {
		return fmt.Errorf("%w: MigrateTriggers: requires PostgreSQL", ErrCourier)
	}
	if s.users.own {
		return nil
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	v, err := s.mySpace(ctx)
	if err != nil {
		return err
	}
	return s.createTriggers(ctx, v, s.users.watched())
}

// MigrateAllTriggers is [Store.MigrateTriggers] for tools that do not know the mapping. It creates
// triggers on every account table that the database has recorded, and returns the names of these
// tables. The triggers watch the whole row. Prefer MigrateTriggers if programs often update other
// columns, such as the time of the last login, because each update writes a message.
func (s *Store) MigrateAllTriggers(ctx context.Context) (tables []string, err error) {
	if s.dialect == sqlite {
		return nil, fmt.Errorf("%w: MigrateAllTriggers: requires PostgreSQL", ErrCourier)
	}
	all, err := s.spaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.retired || strings.HasSuffix(v.table, "."+ownUsers.Table) {
			continue
		}
		if err := s.createTriggers(ctx, v, nil); err != nil {
			return tables, err
		}
		tables = append(tables, v.table)
	}
	return tables, nil
}

// createTriggers creates the triggers of an account table. They watch the columns, or the whole row if
// columns is nil.
func (s *Store) createTriggers(ctx context.Context, v space, columns []string) error {
	table := s.dialect.quote(v.table)
	when := "OLD.* *<> NEW.*" // compares columns of any type
	if columns != nil {
		var old, changed []string
		for _, c := range columns {
			old, changed = append(old, "OLD."+s.dialect.quote(c)), append(changed, "NEW."+s.dialect.quote(c))
		}
		when = "(" + strings.Join(old, ", ") + ") IS DISTINCT FROM (" + strings.Join(changed, ", ") + ")"
	}
	account := func(args ...string) string {
		for i, a := range args {
			args[i] = "'" + strings.ReplaceAll(a, "'", "''") + "'"
		}
		return " EXECUTE FUNCTION vestibule_bus_account(" + strings.Join(args, ", ") + ")"
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		for _, step := range []string{
			"DROP TRIGGER IF EXISTS vestibule_bus_update ON " + table,
			"DROP TRIGGER IF EXISTS vestibule_bus_delete ON " + table,
			"DROP TRIGGER IF EXISTS vestibule_bus_truncate ON " + table,
			"CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON " + table + " FOR EACH ROW WHEN (" + when + ")" + account(v.idColumn, v.table, strings.Join(columns, ",")),
			"CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON " + table + " FOR EACH ROW" + account(v.idColumn, v.table),
			"CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON " + table + " FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all')",
			// Also for rows that logical replication or a bulk loader writes.
			"ALTER TABLE " + table + " ENABLE ALWAYS TRIGGER vestibule_bus_update, ENABLE ALWAYS TRIGGER vestibule_bus_delete, ENABLE ALWAYS TRIGGER vestibule_bus_truncate",
		} {
			if _, err := s.exec(ctx, step); err != nil {
				return err
			}
		}
		return nil
	})
	return s.missingRight("create triggers on "+v.table, "ownership of the table, and EXECUTE on the vestibule_bus_ functions", err)
}

// AccountsTold reports whether every change of the account table writes a message, whichever
// program makes the change. For the table vestibule_users this is always so. For another table, all
// of these must be true:
//   - The table has the triggers of [Store.MigrateTriggers] for the columns of the mapping.
//   - The triggers are enabled with ENABLE ALWAYS, because logical replication skips others.
//   - No table inherits from it.
//   - Every expression in the mapping depends only on the row.
func (s *Store) AccountsTold(ctx context.Context) (bool, error) {
	u := s.users
	if s.dialect == sqlite {
		return false, nil
	}
	if u.own {
		return true, nil
	}
	if !u.ofRow {
		return false, nil
	}
	v, err := s.mySpace(ctx)
	if err != nil {
		return false, err
	}
	found := map[string]bool{}
	err = s.rows(ctx, "SELECT t.tgname, t.tgargs FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid"+
		" WHERE t.tgrelid = to_regclass($1) AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = t.tgrelid AND NOT c.relispartition) AND t.tgenabled = 'A' AND p.proname IN ('vestibule_bus_account', 'vestibule_bus_row')",
		[]any{s.dialect.quote(u.Table)}, func(rows *sql.Rows) error {
			var name string
			var list []byte
			if err := rows.Scan(&name, &list); err != nil {
				return err
			}
			args := strings.Split(string(bytes.TrimSuffix(list, []byte{0})), "\x00")
			switch name {
			case "vestibule_bus_update":
				found[name] = len(args) == 3 && args[0] == v.idColumn && args[1] == v.table && u.covered(args[2])
			case "vestibule_bus_delete":
				found[name] = len(args) == 2 && args[0] == v.idColumn && args[1] == v.table
			case "vestibule_bus_truncate":
				found[name] = true
			}
			return nil
		})
	return found["vestibule_bus_update"] && found["vestibule_bus_delete"] && found["vestibule_bus_truncate"], err
}

// watched returns the columns that a change of the account can be in, or nil for the whole row.
func (u *userSQL) watched() (columns []string) {
	if !u.canActive || u.Roles != "" && !u.canRoles || u.RolesList != "" {
		return nil
	}
	for _, c := range []string{u.ID, u.Name, u.Email, u.Password, u.Active, u.Roles, u.Created} {
		if c != "" {
			columns = append(columns, c)
		}
	}
	return columns
}

// covered reports whether a trigger on columns, or on the whole row ("") finds every change.
func (u *userSQL) covered(columns string) bool {
	if columns == "" {
		return true
	}
	have, want := strings.Split(columns, ","), u.watched()
	return want != nil && !slices.ContainsFunc(want, func(c string) bool { return !slices.Contains(have, c) })
}
