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
		"prune devices":   s.dialect.bind("DELETE FROM vestibule_device_tokens" + ended("digest", "vestibule_device_tokens", "expires_us", "expires_us <> 0")),
		"prune blocklist": s.dialect.bind("DELETE FROM vestibule_blocklist" + ended("block_key", "vestibule_blocklist", "until_us", "TRUE")),
		"prune sessions":  s.dialect.bind("DELETE FROM vestibule_sessions" + ended("digest", "vestibule_sessions", "expires_us", "TRUE")),
		"access":          s.q.accessByDigest, "code": s.q.codeByDigest,
		"prune codes":  s.dialect.bind("DELETE FROM vestibule_codes" + ended("digest", "vestibule_codes", "kept_us", "TRUE")),
		"prune access": s.dialect.bind("DELETE FROM vestibule_access_tokens" + ended("digest", "vestibule_access_tokens", "expires_us", "TRUE")),
		"one time":     s.q.oneTimeByDigest, "prune one times": s.dialect.bind("DELETE FROM vestibule_onetimes" + ended("digest", "vestibule_onetimes", "expires_us", "TRUE")),
		"device grant": s.dialect.bind(deviceGrantBy + "digest = ?"), "user code": s.dialect.bind(deviceGrantBy + "user_code = ?"),
		"prune device grants": s.dialect.bind("DELETE FROM vestibule_device_grants" + ended("digest", "vestibule_device_grants", "expires_us", "TRUE")),
		"prune tries":         s.dialect.bind("DELETE FROM vestibule_tries" + ended("name", "vestibule_tries", "until_us", "TRUE")),
		"prune families":      s.dialect.bind("SELECT id FROM vestibule_families WHERE expires_us <= ? ORDER BY expires_us LIMIT ?"),
		"prune sealed":        s.dialect.bind("DELETE FROM vestibule_refresh_tokens" + ended("digest", "vestibule_refresh_tokens", "sealed_until_us", "sealed_until_us <> 0")),
	}
}

// Statements whose plan a test reads.
const (
	EraseIn = eraseIn
	Narrow  = narrow
)
