-- Device grants. The subject is '' until a user decides about the grant.
CREATE TABLE vestibule_device_grants (
	digest       BLOB NOT NULL PRIMARY KEY,
	user_code    BLOB NOT NULL UNIQUE,
	client       TEXT NOT NULL,
	scopes       TEXT,
	resource     TEXT,
	interval_us  INTEGER NOT NULL,
	polled_us    INTEGER NOT NULL,
	slow         BOOLEAN NOT NULL,
	state        TEXT NOT NULL,
	subject      TEXT NOT NULL,
	epoch        INTEGER NOT NULL,
	auth_time_us INTEGER NOT NULL,
	created_us   INTEGER NOT NULL,
	expires_us   INTEGER NOT NULL
);
CREATE INDEX vestibule_device_grants_subject ON vestibule_device_grants (subject) WHERE subject <> '';
CREATE INDEX vestibule_device_grants_client ON vestibule_device_grants (client);
CREATE INDEX vestibule_device_grants_expires ON vestibule_device_grants (expires_us);

-- Counters of attempts that are limited.
CREATE TABLE vestibule_tries (
	name     BLOB NOT NULL PRIMARY KEY,
	tries    INTEGER NOT NULL,
	until_us INTEGER NOT NULL
);
CREATE INDEX vestibule_tries_until ON vestibule_tries (until_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (7, 'device', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
