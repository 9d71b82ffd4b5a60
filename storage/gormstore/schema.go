package gormstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Schema returns the schema version of the database (0 for an empty database) and the version that
// this program requires.
func (s *Store) Schema(ctx context.Context) (have, want int, err error) {
	all, err := s.dialect.migrations()
	if err != nil {
		return 0, 0, err
	}
	exists := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'vestibule_migrations'"
	if s.dialect == postgres {
		exists = "SELECT COUNT(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('vestibule_migrations')"
	}
	var n int
	if err := s.row(ctx, exists, nil, []any{&n}); err != nil || n == 0 {
		return 0, newest(all), err
	}
	err = s.row(ctx, "SELECT COALESCE(MAX(version), 0) FROM vestibule_migrations", nil, []any{&have})
	return have, newest(all), err
}

// CheckSchema checks that the database has the schema that this program requires, and returns all
// differences as joined errors. Call it at startup. It checks the schema version, the tables and
// columns, Options.Tables, and the mapping of the application's user table.
//
// In the user table it reports an ID column of PostgreSQL's type char(n), which pads IDs with blanks.
// It also reports active accounts that share a name, with their IDs, and a missing
// unique index. With Options.Canonical it reads the whole table and also reports names that are
// missing or not in canonical form; see [Store.CheckNames].
func (s *Store) CheckSchema(ctx context.Context) error {
	have, want, err := s.Schema(ctx)
	if err != nil {
		return err
	}
	var found []error
	switch {
	case have > want:
		found = append(found, fmt.Errorf("%w: version %d (this program knows up to %d)", ErrNewerSchema, have, want))
	case have < want:
		found = append(found, fmt.Errorf("gormstore: database has schema version %d, this program requires %d (call Migrate)", have, want))
	}
	if have == want {
		all := tables
		if s.dialect == postgres {
			all = slices.Concat(tables, postgresTables)
		}
		for _, t := range all {
			if err := s.selectable(ctx, t.columns, t.name); err != nil {
				found = append(found, fmt.Errorf("gormstore: table %s differs from the schema: %w", t.name, err))
			}
		}
	}
	for _, t := range s.tables {
		if err := s.checkTable(ctx, t); err != nil {
			found = append(found, err)
		}
	}
	if !s.users.own || have == want {
		if err := s.checkUsers(ctx); err != nil {
			found = append(found, fmt.Errorf("gormstore: user table %s differs from its mapping: %w", s.users.Table, err))
		} else if have == want {
			if err := s.bound(ctx); s.users.own && errors.Is(err, errUnrecorded) {
				// a tool migrated, and no server has started yet
			} else if err != nil {
				found = append(found, err)
			} else if err := s.checkNames(ctx); err != nil {
				found = append(found, err)
			}
		}
	}
	return errors.Join(found...)
}

// checkUsers reads the mapped columns and compares the type of the ID column with the mapping.
// SQLite compares values of any types, so there it reads the column's declaration.
func (s *Store) checkUsers(ctx context.Context) error {
	u := s.users
	const columns = "u.id, u.name, u.email, u.password, u.active, u.roles, u.created_us"
	if err := s.selectable(ctx, columns, u.source+" u"); err != nil {
		return err
	}
	if s.dialect == postgres {
		if err := s.selectable(ctx, "1", u.source+" u JOIN (SELECT CAST(NULL AS TEXT) AS subject) t ON u.id = "+u.cast("t.subject")); err != nil {
			return fmt.Errorf("ID column is not %s: %w", cmp.Or(u.IDType, "text"), err)
		}
		return s.unpaddedID(ctx)
	}
	schema, table, found := strings.Cut(u.Table, ".")
	if !found {
		schema, table = "main", schema
	}
	var declared string
	err := s.row(ctx, "SELECT type FROM pragma_table_info(?, ?) WHERE name = ? COLLATE NOCASE", []any{table, schema, u.ID}, []any{&declared})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if isInteger := strings.Contains(strings.ToUpper(declared), "INT"); err == nil && isInteger != (u.IDType == "integer") {
		return fmt.Errorf("ID column is %s, mapped as %s", declared, cmp.Or(u.IDType, "text"))
	}
	return nil
}

// unpaddedID rejects an ID column of PostgreSQL's type character(n), also known as char(n). It returns
// IDs with blanks up to its length, but compares and converts them without. The subject of a record
// would then differ from the ID, and the end of one would not reach the other.
func (s *Store) unpaddedID(ctx context.Context) error {
	var is string
	err := s.row(ctx, "SELECT CAST(pg_typeof((SELECT u.id FROM "+s.users.source+" u LIMIT 1)) AS TEXT)", nil, []any{&is})
	if err == nil && is == "character" {
		err = errors.New("ID column is char(n), which pads IDs with blanks (use text or varchar)")
	}
	return err
}

// postgresTables are the tables that only PostgreSQL has.
var postgresTables = []struct{ name, columns string }{
	{"vestibule_bus", "id, courier"},
	{"vestibule_bus_shards", "shard, seq, prev, tag"},
	{"vestibule_outbox", "shard, seq, prev, tag, change, us"},
	{"vestibule_locks", "name"},
	{"vestibule_replicas", "id, started_us, seen_us, courier, settings, key_ids, version"},
}

var tables = []struct{ name, columns string }{
	{"vestibule_spaces", "name, table_name, id_column, id_type, epoch, retired, recorded_us"},
	{"vestibule_subjects", "subject, epoch"},
	{"vestibule_static_tokens", "digest, subject, salt, key_id, epoch, created_us"},
	{"vestibule_device_tokens", "digest, purpose, id, subject, name, scopes, epoch, created_us, expires_us, last_used_us, ttl_us, max_us, data"},
	{"vestibule_families", "id, purpose, subject, client, scopes, resource, confirm, name, epoch, auth_time_us, created_us, expires_us, data, ended, acr, amr"},
	{"vestibule_refresh_tokens", "digest, family, prev, next, created_us, expires_us, claimed_us, sealed, sealed_until_us, narrowed"},
	{"vestibule_blocklist", "block_key, until_us"},
	{"vestibule_replays", "replay_key, until_us"},
	{"vestibule_signing_keys", "purpose, id, algorithm, master_id, sealed, created_us, signs_from_us, expires_us"},
	{"vestibule_sessions", "digest, id, subject, epoch, data, version, created_us, auth_time_us, last_seen_us, expires_us, ends_us, user_agent, address, acr, amr"},
	{"vestibule_onetimes", "digest, purpose, subject, epoch, bound, created_us, expires_us"},
	{"vestibule_factors", factorColumns},
	{"vestibule_clients", "id, name, method, secret, password, native, trusted, disabled, lists, keys, created_us, registration, serves, revoked_us"},
	{"vestibule_codes", "digest, client, subject, epoch, redirect_uri, scopes, resource, challenge, nonce, confirm, session, auth_time_us, created_us, expires_us, kept_us, used, family, acr, amr"},
	{"vestibule_auth_requests", "digest, purpose, client, subject, session, data, created_us, expires_us"},
	{"vestibule_access_tokens", "digest, id, family, client, subject, epoch, scopes, resource, confirm, auth_time_us, created_us, expires_us, acr, amr"},
	{"vestibule_device_grants", deviceGrantColumns},
	{"vestibule_tries", "name, tries, until_us"},
	{"vestibule_consents", "subject, client, scopes, resource, epoch, created_us, expires_us"},
	{"vestibule_links", "space, issuer, foreign_id, id, subject, created_us"},
	{"vestibule_audit", "id, us, kind, subject, client, event"},
	{"vestibule_permissions", "subject, permission"},
	{"vestibule_group_members", "subject, group_name"},
	{"vestibule_group_permissions", "group_name, permission"},
	{"vestibule_token_lifetimes", "lifetime_us, used_us"},
	{"vestibule_changes", "kind, id, us"},
}

func (s *Store) selectable(ctx context.Context, columns, from string) error {
	return s.rows(ctx, "SELECT "+columns+" FROM "+from+" WHERE 1 = 0", nil, func(*sql.Rows) error { return nil })
}
