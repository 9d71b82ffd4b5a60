package gormstore

import "context"

// MigrateTo runs one migration of these statements.
func (s *Store) MigrateTo(ctx context.Context, statements ...string) error {
	return s.migrate(ctx, []migration{{1, "test", statements}})
}

// HotQueries are those whose plan matters.
func (s *Store) HotQueries() map[string]string {
	return map[string]string{"token": s.q.tokenByDigest, "user": s.q.userByID,
		"credential": s.q.credentialByDigest, "session": s.q.sessionByDigest, "refresh": s.q.refreshByDigest, "standing": s.q.standing, "user standing": s.q.userStanding,
		"claim": s.dialect.bind(familyOf), "erase": s.dialect.bind(eraseBefore), "erase all": s.dialect.bind(eraseIn),
		"credentials": s.q.listCredentials, "sessions": s.q.listSessions, "live credentials": s.dialect.bind(liveCredentials), "families": s.q.listFamilies,
		"families of a client": s.q.listFamiliesOf, "family": s.q.familyByID, "count of families": s.q.countFamilies,
		"session by ID": s.q.sessionByID, "series": s.dialect.bind("SELECT 1 FROM vestibule_sessions WHERE " + inSeries),
		"prune devices":   s.pruneQuery("vestibule_device_tokens", "digest", "expires_us", "expires_us <> 0"),
		"prune blocklist": s.pruneQuery("vestibule_blocklist", "block_key", "until_us", "TRUE"),
		"prune sessions":  s.pruneQuery("vestibule_sessions", "digest", "expires_us", "TRUE"),
		"access":          s.q.accessByDigest, "code": s.q.codeByDigest,
		"prune codes":  s.pruneQuery("vestibule_codes", "digest", "kept_us", "TRUE"),
		"prune access": s.pruneQuery("vestibule_access_tokens", "digest", "expires_us", "TRUE"),
		"one time":     s.q.oneTimeByDigest, "prune one times": s.pruneQuery("vestibule_onetimes", "digest", "expires_us", "TRUE"),
		"device grant": s.dialect.bind(deviceGrantBy + "digest = ?"), "user code": s.dialect.bind(deviceGrantBy + "user_code = ?"),
		"prune device grants": s.pruneQuery("vestibule_device_grants", "digest", "expires_us", "TRUE"),
		"prune tries":         s.pruneQuery("vestibule_tries", "name", "until_us", "TRUE"),
		"prune families":      s.dialect.bind(expiredFamilies),
		"prune sealed":        s.pruneQuery("vestibule_refresh_tokens", "digest", "sealed_until_us", "sealed_until_us <> 0"),
	}
}

// Statements whose plan a test reads.
const (
	EraseIn = eraseIn
	Narrow  = narrow
)

// DropCodes is the statement of DeleteCodes.
func (s *Store) DropCodes() string { return s.pieceQuery(openCodes("", "")) }

func (s *Store) pruneQuery(table, key, until, where string) string {
	return s.dialect.expired(table, key, until, where, "DELETE FROM "+table)
}

// WithoutAdvisory makes the store believe that the database has no advisory locks.
func (s *Store) WithoutAdvisory() { s.noAdvisory = true }

// Migrating sets what is called before each statement of a migration.
func (s *Store) Migrating(f func(statement string)) { s.migrating = f }

// Statements are those of a dialect's migrations, by version from 1.
func Statements(kind string) (all [][]string, err error) {
	d, err := dialectOf(kind)
	if err != nil {
		return nil, err
	}
	list, err := d.migrations()
	for _, m := range list {
		all = append(all, m.statement)
	}
	return all, err
}
