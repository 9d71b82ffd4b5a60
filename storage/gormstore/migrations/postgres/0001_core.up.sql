-- The migrations that were applied, so that each is applied only once. Each
-- migration file inserts its own row.
CREATE TABLE IF NOT EXISTS vestibule_migrations (
	version    BIGINT NOT NULL PRIMARY KEY,
	name       TEXT   NOT NULL,
	applied_us BIGINT NOT NULL
);

-- Accounts. If a server uses its own user table, this table is empty.
CREATE TABLE vestibule_users (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	name       TEXT COLLATE "C" NOT NULL UNIQUE,
	email      TEXT COLLATE "C" NOT NULL DEFAULT '',
	password   TEXT COLLATE "C" NOT NULL DEFAULT '',
	active     BOOLEAN NOT NULL DEFAULT TRUE,
	roles      TEXT COLLATE "C" NOT NULL DEFAULT '',
	created_us BIGINT  NOT NULL DEFAULT 0
);

-- The epoch of each subject whose credentials were revoked at least once.
CREATE TABLE vestibule_subjects (
	subject TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	epoch   BIGINT  NOT NULL
);

-- One static token per subject. The digest is the SHA-256 of the token.
CREATE TABLE vestibule_static_tokens (
	digest     BYTEA   NOT NULL PRIMARY KEY,
	subject    TEXT COLLATE "C" NOT NULL UNIQUE,
	salt       BYTEA   NOT NULL,
	key_id     TEXT COLLATE "C" NOT NULL,
	epoch      BIGINT  NOT NULL,
	created_us BIGINT  NOT NULL
);

CREATE TABLE vestibule_permissions (
	subject    TEXT COLLATE "C" NOT NULL,
	permission TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (subject, permission)
);

CREATE TABLE vestibule_group_members (
	subject    TEXT COLLATE "C" NOT NULL,
	group_name TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (subject, group_name)
);

CREATE TABLE vestibule_group_permissions (
	group_name TEXT COLLATE "C" NOT NULL,
	permission TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (group_name, permission)
);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (1, 'core', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
