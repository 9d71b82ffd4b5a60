-- Device grants. The subject is '' until a user decides about the grant.
CREATE TABLE vestibule_device_grants (
	digest       BYTEA NOT NULL PRIMARY KEY,
	user_code    BYTEA NOT NULL UNIQUE,
	client       TEXT COLLATE "C" NOT NULL,
	scopes       TEXT COLLATE "C",
	resource     TEXT COLLATE "C",
	interval_us  BIGINT NOT NULL,
	polled_us    BIGINT NOT NULL,
	slow         BOOLEAN NOT NULL,
	state        TEXT COLLATE "C" NOT NULL,
	subject      TEXT COLLATE "C" NOT NULL,
	epoch        BIGINT NOT NULL,
	auth_time_us BIGINT NOT NULL,
	created_us   BIGINT NOT NULL,
	expires_us   BIGINT NOT NULL
);
CREATE INDEX vestibule_device_grants_subject ON vestibule_device_grants (subject) WHERE subject <> '';
CREATE INDEX vestibule_device_grants_client ON vestibule_device_grants (client);
CREATE INDEX vestibule_device_grants_expires ON vestibule_device_grants (expires_us);

-- Counters of attempts that are limited.
CREATE TABLE vestibule_tries (
	name     BYTEA NOT NULL PRIMARY KEY,
	tries    BIGINT NOT NULL,
	until_us BIGINT NOT NULL
);
CREATE INDEX vestibule_tries_until ON vestibule_tries (until_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (7, 'device', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
