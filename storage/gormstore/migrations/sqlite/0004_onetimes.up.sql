-- Tokens that are used once, such as those that reset a password.
CREATE TABLE vestibule_onetimes (
	digest     BLOB    NOT NULL PRIMARY KEY,
	purpose    TEXT    NOT NULL,
	subject    TEXT    NOT NULL,
	epoch      INTEGER NOT NULL,
	bound      BLOB    NOT NULL,
	created_us INTEGER NOT NULL,
	expires_us INTEGER NOT NULL,
	UNIQUE (subject, purpose)
);
CREATE INDEX vestibule_onetimes_expires ON vestibule_onetimes (expires_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (4, 'onetimes', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
