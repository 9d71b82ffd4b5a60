-- Remembered consents: the scopes that a user granted to a client, so that the
-- consent page is not shown again.
CREATE TABLE vestibule_consents (
	subject    TEXT NOT NULL,
	client     TEXT NOT NULL,
	scopes     TEXT,
	resource   TEXT,
	epoch      INTEGER NOT NULL,
	created_us INTEGER NOT NULL,
	expires_us INTEGER NOT NULL,
	PRIMARY KEY (subject, client)
);
CREATE INDEX vestibule_consents_client ON vestibule_consents (client);
CREATE INDEX vestibule_consents_expires ON vestibule_consents (expires_us);

-- Digests of the tokens with which clients manage their own registration.
ALTER TABLE vestibule_clients ADD COLUMN registration BLOB;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (8, 'consents', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
