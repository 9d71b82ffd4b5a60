-- Remembered consents: the scopes that a user granted to a client, so that the
-- consent page is not shown again.
CREATE TABLE vestibule_consents (
	subject    TEXT COLLATE "C" NOT NULL,
	client     TEXT COLLATE "C" NOT NULL,
	scopes     TEXT COLLATE "C",
	resource   TEXT COLLATE "C",
	epoch      BIGINT NOT NULL,
	created_us BIGINT NOT NULL,
	expires_us BIGINT NOT NULL,
	PRIMARY KEY (subject, client)
);
CREATE INDEX vestibule_consents_client ON vestibule_consents (client);
CREATE INDEX vestibule_consents_expires ON vestibule_consents (expires_us);

-- Digests of the tokens with which clients manage their own registration.
ALTER TABLE vestibule_clients ADD COLUMN registration BYTEA;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (8, 'consents', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
