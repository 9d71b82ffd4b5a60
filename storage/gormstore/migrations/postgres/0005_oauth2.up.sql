-- OAuth 2.0 clients. The lists are JSON.
CREATE TABLE vestibule_clients (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	name       TEXT COLLATE "C" NOT NULL,
	method     TEXT COLLATE "C" NOT NULL,
	secret     BYTEA,
	password   TEXT COLLATE "C" NOT NULL,
	native     BOOLEAN NOT NULL,
	trusted    BOOLEAN NOT NULL,
	disabled   BOOLEAN NOT NULL,
	lists      TEXT COLLATE "C" NOT NULL,
	keys       BYTEA,
	created_us BIGINT NOT NULL
);

-- Authorization codes. A used code is kept, so that a second use is detected.
CREATE TABLE vestibule_codes (
	digest       BYTEA NOT NULL PRIMARY KEY,
	client       TEXT COLLATE "C" NOT NULL,
	subject      TEXT COLLATE "C" NOT NULL,
	epoch        BIGINT NOT NULL,
	redirect_uri TEXT COLLATE "C" NOT NULL,
	scopes       TEXT COLLATE "C",
	resource     TEXT COLLATE "C",
	challenge    TEXT COLLATE "C" NOT NULL,
	nonce        TEXT COLLATE "C" NOT NULL,
	confirm      TEXT COLLATE "C" NOT NULL,
	auth_time_us BIGINT NOT NULL,
	created_us   BIGINT NOT NULL,
	expires_us   BIGINT NOT NULL,
	kept_us      BIGINT NOT NULL,
	used         BOOLEAN NOT NULL,
	family       TEXT COLLATE "C" NOT NULL
);
CREATE INDEX vestibule_codes_subject ON vestibule_codes (subject);
CREATE INDEX vestibule_codes_client ON vestibule_codes (client);
CREATE INDEX vestibule_codes_kept ON vestibule_codes (kept_us);

-- Authorization requests that wait for a user or a client.
CREATE TABLE vestibule_auth_requests (
	digest     BYTEA NOT NULL PRIMARY KEY,
	purpose    TEXT COLLATE "C" NOT NULL,
	client     TEXT COLLATE "C" NOT NULL,
	subject    TEXT COLLATE "C" NOT NULL,
	session    TEXT COLLATE "C" NOT NULL,
	data       BYTEA,
	created_us BIGINT NOT NULL,
	expires_us BIGINT NOT NULL
);
CREATE INDEX vestibule_auth_requests_expires ON vestibule_auth_requests (expires_us);

-- Opaque access tokens. If the family or the subject is NULL, a client acts for
-- itself.
CREATE TABLE vestibule_access_tokens (
	digest       BYTEA NOT NULL PRIMARY KEY,
	id           TEXT COLLATE "C" NOT NULL UNIQUE,
	family       TEXT COLLATE "C",
	client       TEXT COLLATE "C" NOT NULL,
	subject      TEXT COLLATE "C",
	epoch        BIGINT NOT NULL,
	scopes       TEXT COLLATE "C",
	resource     TEXT COLLATE "C",
	confirm      TEXT COLLATE "C" NOT NULL,
	auth_time_us BIGINT NOT NULL,
	created_us   BIGINT NOT NULL,
	expires_us   BIGINT NOT NULL
);
CREATE INDEX vestibule_access_tokens_subject ON vestibule_access_tokens (subject) WHERE subject IS NOT NULL;
CREATE INDEX vestibule_access_tokens_client ON vestibule_access_tokens (client);
CREATE INDEX vestibule_access_tokens_expires ON vestibule_access_tokens (expires_us);
CREATE INDEX vestibule_families_client ON vestibule_families (client) WHERE client <> '';

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (5, 'oauth2', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
