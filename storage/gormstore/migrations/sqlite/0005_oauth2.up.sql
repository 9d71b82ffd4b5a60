-- OAuth 2.0 clients. The lists are JSON.
CREATE TABLE vestibule_clients (
	id         TEXT NOT NULL PRIMARY KEY,
	name       TEXT NOT NULL,
	method     TEXT NOT NULL,
	secret     BLOB,
	password   TEXT NOT NULL,
	native     BOOLEAN NOT NULL,
	trusted    BOOLEAN NOT NULL,
	disabled   BOOLEAN NOT NULL,
	lists      TEXT NOT NULL,
	keys       BLOB,
	created_us INTEGER NOT NULL
);

-- Authorization codes. A used code is kept, so that a second use is detected.
CREATE TABLE vestibule_codes (
	digest       BLOB NOT NULL PRIMARY KEY,
	client       TEXT NOT NULL,
	subject      TEXT NOT NULL,
	epoch        INTEGER NOT NULL,
	redirect_uri TEXT NOT NULL,
	scopes       TEXT,
	resource     TEXT,
	challenge    TEXT NOT NULL,
	nonce        TEXT NOT NULL,
	confirm      TEXT NOT NULL,
	auth_time_us INTEGER NOT NULL,
	created_us   INTEGER NOT NULL,
	expires_us   INTEGER NOT NULL,
	kept_us      INTEGER NOT NULL,
	used         BOOLEAN NOT NULL,
	family       TEXT NOT NULL
);
CREATE INDEX vestibule_codes_subject ON vestibule_codes (subject);
CREATE INDEX vestibule_codes_client ON vestibule_codes (client);
CREATE INDEX vestibule_codes_kept ON vestibule_codes (kept_us);

-- Authorization requests that wait for a user or a client.
CREATE TABLE vestibule_auth_requests (
	digest     BLOB NOT NULL PRIMARY KEY,
	purpose    TEXT NOT NULL,
	client     TEXT NOT NULL,
	subject    TEXT NOT NULL,
	session    TEXT NOT NULL,
	data       BLOB,
	created_us INTEGER NOT NULL,
	expires_us INTEGER NOT NULL
);
CREATE INDEX vestibule_auth_requests_expires ON vestibule_auth_requests (expires_us);

-- Opaque access tokens. If the family or the subject is NULL, a client acts for
-- itself.
CREATE TABLE vestibule_access_tokens (
	digest       BLOB NOT NULL PRIMARY KEY,
	id           TEXT NOT NULL UNIQUE,
	family       TEXT,
	client       TEXT NOT NULL,
	subject      TEXT,
	epoch        INTEGER NOT NULL,
	scopes       TEXT,
	resource     TEXT,
	confirm      TEXT NOT NULL,
	auth_time_us INTEGER NOT NULL,
	created_us   INTEGER NOT NULL,
	expires_us   INTEGER NOT NULL
);
CREATE INDEX vestibule_access_tokens_subject ON vestibule_access_tokens (subject) WHERE subject IS NOT NULL;
CREATE INDEX vestibule_access_tokens_client ON vestibule_access_tokens (client);
CREATE INDEX vestibule_access_tokens_expires ON vestibule_access_tokens (expires_us);
CREATE INDEX vestibule_families_client ON vestibule_families (client) WHERE client <> '';

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (5, 'oauth2', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
