-- The migrations that were applied, so that each is applied only once. Each
-- migration file inserts its own row.
CREATE TABLE IF NOT EXISTS vestibule_migrations (
	version    BIGINT NOT NULL PRIMARY KEY,
	name       TEXT   NOT NULL,
	applied_us BIGINT NOT NULL
);

-- Accounts. If a server uses its own user table, this table is empty.
CREATE TABLE vestibule_users (
	id         TEXT    NOT NULL PRIMARY KEY,
	name       TEXT    NOT NULL UNIQUE,
	email      TEXT    NOT NULL DEFAULT '',
	password   TEXT    NOT NULL DEFAULT '',
	active     BOOLEAN NOT NULL DEFAULT TRUE,
	roles      TEXT    NOT NULL DEFAULT '',
	created_us INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The epoch of each subject whose credentials were revoked at least once.
CREATE TABLE vestibule_subjects (
	subject TEXT    NOT NULL PRIMARY KEY,
	epoch   INTEGER NOT NULL
) WITHOUT ROWID;

-- One static token per subject. The digest is the SHA-256 of the token.
CREATE TABLE vestibule_static_tokens (
	digest     BLOB    NOT NULL PRIMARY KEY,
	subject    TEXT    NOT NULL UNIQUE,
	salt       BLOB    NOT NULL,
	key_id     TEXT    NOT NULL,
	epoch      INTEGER NOT NULL,
	created_us INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE vestibule_permissions (
	subject    TEXT NOT NULL,
	permission TEXT NOT NULL,
	PRIMARY KEY (subject, permission)
) WITHOUT ROWID;

CREATE TABLE vestibule_group_members (
	subject    TEXT NOT NULL,
	group_name TEXT NOT NULL,
	PRIMARY KEY (subject, group_name)
) WITHOUT ROWID;

CREATE TABLE vestibule_group_permissions (
	group_name TEXT NOT NULL,
	permission TEXT NOT NULL,
	PRIMARY KEY (group_name, permission)
) WITHOUT ROWID;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (1, 'core', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
