-- Tokens that are used once, such as those that reset a password.
CREATE TABLE vestibule_onetimes (
	digest     BYTEA            NOT NULL PRIMARY KEY,
	purpose    TEXT COLLATE "C" NOT NULL,
	subject    TEXT COLLATE "C" NOT NULL,
	epoch      BIGINT           NOT NULL,
	bound      BYTEA            NOT NULL,
	created_us BIGINT           NOT NULL,
	expires_us BIGINT           NOT NULL,
	UNIQUE (subject, purpose)
);
CREATE INDEX vestibule_onetimes_expires ON vestibule_onetimes (expires_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (4, 'onetimes', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
