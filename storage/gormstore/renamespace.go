package gormstore

import (
	"cmp"
	"context"
	"fmt"

	"github.com/vestibule-auth/vestibule/storage"
)

// NameSpace gives the name Options.Space to the account table that has no name in this database. It
// migrates the schema, rewrites every subject ID to SPACE:ID, and retires the empty name
// permanently. Call it once, before you add a second account table. If the table already has the
// name, it does nothing.
//
// It revokes every credential of every scheme, so all users must log in again. OpenID Connect
// clients receive a new "sub" for each user. A process that still runs without the name gets
// ErrSpace from its next statement on. Only access tokens that a service verifies without this
// database stay valid until they expire.
//
// The statements lock all tables of the library. With a few hundred thousand rows this takes
// seconds, so run it when there is little traffic.
//
// It returns ErrSpace, and changes nothing, if Options.Space is "", or if the database serves
// another table. The same applies if an ID of the table is too long or looks like the subject of a
// space.
func (s *Store) NameSpace(ctx context.Context) error {
	if s.users.space == "" {
		return fmt.Errorf("%w: NameSpace: Options.Space is empty", ErrSpace)
	}
	if err := s.MigrateSchema(ctx); err != nil {
		return err
	}
	if err := s.bound(ctx); err == nil {
		return nil
	}
	patient := s.patient()
	if err := patient.atomically(ctx, patient.nameSpace); err != nil {
		return s.missingRight("name the account table", "UPDATE on all vestibule_ tables", err)
	}
	return s.bound(ctx)
}

// patient returns the same store with the timeout of a migration for each statement.
func (s *Store) patient() *Store {
	return &Store{db: s.db, sql: s.sql, dialect: s.dialect, timeout: lockTimeout, now: s.now, users: s.users, q: s.q, writer: s.writer, logger: s.logger, opened: s.opened}
}

// subjectColumns are the tables with a column "subject". A subject "" or NULL means no user.
var subjectColumns = []string{
	"vestibule_subjects", "vestibule_static_tokens", "vestibule_device_tokens", "vestibule_families", "vestibule_sessions", "vestibule_onetimes",
	"vestibule_codes", "vestibule_auth_requests", "vestibule_access_tokens", "vestibule_device_grants", "vestibule_consents",
	"vestibule_permissions", "vestibule_group_members", "vestibule_factors", "vestibule_links",
}

func (s *Store) nameSpace(ctx context.Context) error {
	if err := s.locked(ctx, lockSpaces, "vestibule spaces"); err != nil {
		return err
	}
	if s.dialect == postgres {
		// Every statement that issues or accepts something reads this table first. Running
		// statements end before the lock, and later ones wait.
		if _, err := s.exec(ctx, "LOCK TABLE vestibule_spaces IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	v, all, err := s.recordedSpaces(ctx)
	if err != nil {
		return err
	}
	unnamed := v
	unnamed.name = ""
	for _, r := range all {
		if r.name == v.name {
			_, err := judge(v, all) // recorded concurrently, or for another table
			return err
		}
	}
	if recorded, err := judge(unnamed, all); err != nil || !recorded {
		return cmp.Or(err, fmt.Errorf("%w: NameSpace: database has no table without a name (Migrate records %s)", ErrSpace, v))
	}
	if err := s.nameable(ctx); err != nil {
		return err
	}
	var epoch int64
	now := serverNow
	if s.dialect == sqlite {
		now = "0"
	}
	last := "SELECT " + now + ", COALESCE(MAX(epoch), 0) FROM (SELECT epoch FROM vestibule_subjects UNION ALL SELECT epoch FROM vestibule_spaces) e"
	var clock int64
	if err := s.row(ctx, last, nil, []any{&clock, &epoch}); err != nil {
		return err
	}
	if s.now != nil {
		clock = s.now().UnixMicro()
	}
	epoch = max(epoch+1, clock)
	for _, table := range subjectColumns {
		query := "UPDATE " + table + " SET subject = '" + s.users.prefix + "' || subject WHERE subject IS NOT NULL AND subject <> ''"
		if table == "vestibule_links" {
			query = "UPDATE " + table + " SET space = '" + s.users.space + "', subject = '" + s.users.prefix + "' || subject WHERE space = ''"
		}
		if table == "vestibule_sessions" || table == "vestibule_access_tokens" { // see holder
			query = "UPDATE " + table + " SET subject = '" + s.users.prefix + "' || COALESCE(subject, '')"
		}
		if _, err := s.exec(ctx, query); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	if _, err := s.exec(ctx, "UPDATE vestibule_spaces SET retired = TRUE WHERE name = ''"); err != nil {
		return err
	}
	return s.insertSpace(ctx, v, epoch)
}

// nameable returns an error if there are IDs that are too long with the prefix, or that already
// look like the subject of a space. Otherwise a token issued to "staff:1" would belong to another
// account afterwards.
func (s *Store) nameable(ctx context.Context) error {
	u := s.users
	if !u.idIsText {
		return nil
	}
	position, odd := "instr(%s, ':')", "%s NOT GLOB '*[^a-z0-9_]*'"
	if s.dialect == postgres {
		position, odd = "strpos(%s, ':')", "%s ~ '^[a-z0-9_]*$'"
	}
	id := "CAST(u.id AS TEXT)"
	at := fmt.Sprintf(position, id)
	query := "SELECT COUNT(*) FROM " + u.source + " u WHERE length(" + id + ") > ? OR " + at + " BETWEEN 2 AND 33 AND " +
		fmt.Sprintf(odd, "substr("+id+", 1, CASE WHEN "+at+" > 0 THEN "+at+" - 1 ELSE 0 END)")
	var n int
	if err := s.row(ctx, s.dialect.bind(query), []any{storage.MaxIDBytes - len(u.prefix)}, []any{&n}); err != nil || n == 0 {
		return err
	}
	return fmt.Errorf("%w: NameSpace: %d IDs of %s are longer than %d bytes or begin with a name and a colon, as subjects of spaces do", ErrSpace, n, u.Table, storage.MaxIDBytes-len(u.prefix))
}
