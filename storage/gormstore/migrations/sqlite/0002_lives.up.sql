-- Any number of tokens per subject, one for each device. Scopes are separated
-- by spaces. NULL means that the token is not limited to scopes. A time of 0
-- means that there is none.
CREATE TABLE vestibule_device_tokens (
	digest       BLOB    NOT NULL PRIMARY KEY,
	id           TEXT    NOT NULL,
	subject      TEXT    NOT NULL,
	name         TEXT    NOT NULL,
	scopes       TEXT,
	epoch        INTEGER NOT NULL,
	created_us   INTEGER NOT NULL,
	expires_us   INTEGER NOT NULL,
	last_used_us INTEGER NOT NULL,
	ttl_us       INTEGER NOT NULL,
	max_us       INTEGER NOT NULL,
	UNIQUE (subject, id)
) WITHOUT ROWID;
CREATE INDEX vestibule_device_tokens_expires ON vestibule_device_tokens (expires_us) WHERE expires_us <> 0;

-- Token families. Each login and each grant starts one.
CREATE TABLE vestibule_families (
	id           TEXT    NOT NULL PRIMARY KEY,
	purpose      TEXT    NOT NULL,
	subject      TEXT    NOT NULL,
	client       TEXT    NOT NULL,
	scopes       TEXT,
	resource     TEXT,
	confirm      TEXT    NOT NULL,
	name         TEXT    NOT NULL,
	epoch        INTEGER NOT NULL,
	auth_time_us INTEGER NOT NULL,
	created_us   INTEGER NOT NULL,
	expires_us   INTEGER NOT NULL,
	data         BLOB,
	ended        BOOLEAN NOT NULL DEFAULT FALSE
) WITHOUT ROWID;
CREATE INDEX vestibule_families_subject ON vestibule_families (subject);
CREATE INDEX vestibule_families_expires ON vestibule_families (expires_us);

-- The refresh tokens of families. In each row, next is the token that replaced
-- this one, and prev is the token that this one replaced.
CREATE TABLE vestibule_refresh_tokens (
	digest          BLOB    NOT NULL PRIMARY KEY,
	family          TEXT    NOT NULL,
	prev            BLOB,
	next            BLOB,
	created_us      INTEGER NOT NULL,
	expires_us      INTEGER NOT NULL,
	claimed_us      INTEGER NOT NULL DEFAULT 0,
	sealed          BLOB,
	sealed_until_us INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX vestibule_refresh_tokens_family ON vestibule_refresh_tokens (family);
CREATE INDEX vestibule_refresh_tokens_sealed ON vestibule_refresh_tokens (sealed_until_us) WHERE sealed_until_us <> 0;

-- Tokens and logins that are rejected although they have not expired.
CREATE TABLE vestibule_blocklist (
	block_key BLOB    NOT NULL PRIMARY KEY,
	until_us  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX vestibule_blocklist_until ON vestibule_blocklist (until_us);

-- Private keys, encrypted under a master key.
CREATE TABLE vestibule_signing_keys (
	purpose       TEXT    NOT NULL,
	id            TEXT    NOT NULL,
	algorithm     TEXT    NOT NULL,
	master_id     TEXT    NOT NULL,
	sealed        BLOB    NOT NULL,
	created_us    INTEGER NOT NULL,
	signs_from_us INTEGER NOT NULL,
	expires_us    INTEGER NOT NULL,
	PRIMARY KEY (purpose, id)
) WITHOUT ROWID;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (2, 'lives', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
