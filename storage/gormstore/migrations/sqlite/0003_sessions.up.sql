-- Sessions of browsers. If the subject is NULL, the session is anonymous.
CREATE TABLE vestibule_sessions (
	digest       BLOB    NOT NULL PRIMARY KEY,
	id           TEXT    NOT NULL UNIQUE,
	subject      TEXT,
	epoch        INTEGER NOT NULL,
	data         BLOB,
	version      INTEGER NOT NULL,
	created_us   INTEGER NOT NULL,
	auth_time_us INTEGER NOT NULL,
	last_seen_us INTEGER NOT NULL,
	expires_us   INTEGER NOT NULL,
	ends_us      INTEGER NOT NULL,
	user_agent   TEXT    NOT NULL,
	address      TEXT    NOT NULL
);
CREATE INDEX vestibule_sessions_subject ON vestibule_sessions (subject) WHERE subject IS NOT NULL;
CREATE INDEX vestibule_sessions_expires ON vestibule_sessions (expires_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (3, 'sessions', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
