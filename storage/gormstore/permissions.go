package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// SubjectPermissions implements storage.Permissions.
func (s *Store) SubjectPermissions(ctx context.Context, subject string) (names []string, err error) {
	if s.users.mine(subject) != nil {
		return nil, nil
	}
	standby := "FALSE"
	if s.dialect == postgres {
		standby = "pg_is_in_recovery()" // see ofPrimary
	}
	query := `SELECT ` + standby + `, permission FROM vestibule_permissions WHERE subject = ?
		UNION SELECT ` + standby + `, g.permission FROM vestibule_group_members m JOIN vestibule_group_permissions g ON g.group_name = m.group_name WHERE m.subject = ?`
	err = s.rows(ctx, s.dialect.bind(query), []any{subject, subject}, func(rows *sql.Rows) error {
		var name string
		var standby bool
		if err := rows.Scan(&standby, &name); err != nil {
			return err
		}
		if standby {
			return errStandby
		}
		names = append(names, name)
		return nil
	})
	slices.Sort(names)
	return names, err
}

// SetSubjectPermissions implements storage.Permissions.
func (s *Store) SetSubjectPermissions(ctx context.Context, subject string, perms []string) error {
	if err := s.users.mine(subject); err != nil {
		return err
	}
	return s.setListOf(ctx, "vestibule_permissions", subject, "permission", perms)
}

// SetSubjectGroups implements storage.Permissions.
func (s *Store) SetSubjectGroups(ctx context.Context, subject string, groups []string) error {
	if err := s.users.mine(subject); err != nil {
		return err
	}
	return s.setListOf(ctx, "vestibule_group_members", subject, "group_name", groups)
}

// setListOf is setList for an account. It locks the account's row, so that deleting the account
// deletes the list, too, and so that two lists are not merged. An empty list needs no account.
func (s *Store) setListOf(ctx context.Context, table, subject, column string, values []string) error {
	for _, v := range values {
		if err := storage.CheckID(column, v); err != nil {
			return err
		}
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if len(values) > 0 {
			if !s.users.has(subject) {
				return storage.ErrNotFound
			}
			if err := s.lockUser(ctx, subject); err != nil {
				return notFound(err)
			}
		}
		return s.setList(ctx, table, "subject", subject, column, values)
	})
}

// SetGroupPermissions implements storage.Permissions.
func (s *Store) SetGroupPermissions(ctx context.Context, group string, perms []string) error {
	const table = "vestibule_group_permissions"
	if err := checkList("group_name", group, "permission", perms); err != nil {
		return err
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		// Two lists that are set concurrently must not be merged. Groups have no row of their own
		// that could be locked.
		if err := s.locked(ctx, lockGroup+group, table+" "+group); err != nil {
			return err
		}
		return s.setList(ctx, table, "group_name", group, "permission", perms)
	})
}

// setList replaces the rows of one key in a table with two columns. Unless the list is empty, the
// caller must hold a lock of the key, so that two lists are not merged.
func (s *Store) setList(ctx context.Context, table, keyColumn, key, valueColumn string, values []string) error {
	if err := checkList(keyColumn, key, valueColumn, values); err != nil {
		return err
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, s.dialect.bind("DELETE FROM "+table+" WHERE "+keyColumn+" = ?"), key); err != nil {
			return err
		}
		insert := s.dialect.bind("INSERT INTO " + table + " (" + keyColumn + ", " + valueColumn + ") VALUES (?, ?) ON CONFLICT DO NOTHING")
		for _, v := range values {
			if _, err := s.exec(ctx, insert, key, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkList(keyColumn, key, valueColumn string, values []string) error {
	if err := storage.CheckID(keyColumn, key); err != nil {
		return err
	}
	for _, v := range values {
		if err := storage.CheckID(valueColumn, v); err != nil {
			return err
		}
	}
	return nil
}

// isUnique reports whether err is a violated unique constraint. This package does not import the
// drivers, so it checks what their errors have in common.
func isUnique(err error) bool {
	if err == nil {
		return false
	}
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "23505"
	}
	return strings.Contains(err.Error(), "UNIQUE constraint failed")
}
