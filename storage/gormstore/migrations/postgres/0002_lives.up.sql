-- Any number of tokens per subject, one for each device. Scopes are separated
-- by spaces. NULL means that the token is not limited to scopes. A time of 0
-- means that there is none.
CREATE TABLE vestibule_device_tokens (
	digest       BYTEA            NOT NULL PRIMARY KEY,
	id           TEXT COLLATE "C" NOT NULL,
	subject      TEXT COLLATE "C" NOT NULL,
	name         TEXT COLLATE "C" NOT NULL,
	scopes       TEXT COLLATE "C",
	epoch        BIGINT           NOT NULL,
	created_us   BIGINT           NOT NULL,
	expires_us   BIGINT           NOT NULL,
	last_used_us BIGINT           NOT NULL,
	ttl_us       BIGINT           NOT NULL,
	max_us       BIGINT           NOT NULL,
	UNIQUE (subject, id)
);
CREATE INDEX vestibule_device_tokens_expires ON vestibule_device_tokens (expires_us) WHERE expires_us <> 0;

-- Token families. Each login and each grant starts one.
CREATE TABLE vestibule_families (
	id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	purpose      TEXT COLLATE "C" NOT NULL,
	subject      TEXT COLLATE "C" NOT NULL,
	client       TEXT COLLATE "C" NOT NULL,
	scopes       TEXT COLLATE "C",
	resource     TEXT COLLATE "C",
	confirm      TEXT COLLATE "C" NOT NULL,
	name         TEXT COLLATE "C" NOT NULL,
	epoch        BIGINT           NOT NULL,
	auth_time_us BIGINT           NOT NULL,
	created_us   BIGINT           NOT NULL,
	expires_us   BIGINT           NOT NULL,
	data         BYTEA,
	ended        BOOLEAN          NOT NULL DEFAULT FALSE
);
CREATE INDEX vestibule_families_subject ON vestibule_families (subject);
CREATE INDEX vestibule_families_expires ON vestibule_families (expires_us);

-- The refresh tokens of families. In each row, next is the token that replaced
-- this one, and prev is the token that this one replaced.
CREATE TABLE vestibule_refresh_tokens (
	digest          BYTEA            NOT NULL PRIMARY KEY,
	family          TEXT COLLATE "C" NOT NULL,
	prev            BYTEA,
	next            BYTEA,
	created_us      BIGINT           NOT NULL,
	expires_us      BIGINT           NOT NULL,
	claimed_us      BIGINT           NOT NULL DEFAULT 0,
	sealed          BYTEA,
	sealed_until_us BIGINT           NOT NULL DEFAULT 0
);
CREATE INDEX vestibule_refresh_tokens_family ON vestibule_refresh_tokens (family);
CREATE INDEX vestibule_refresh_tokens_sealed ON vestibule_refresh_tokens (sealed_until_us) WHERE sealed_until_us <> 0;

-- Tokens and logins that are rejected although they have not expired.
CREATE TABLE vestibule_blocklist (
	block_key BYTEA  NOT NULL PRIMARY KEY,
	until_us  BIGINT NOT NULL
);
CREATE INDEX vestibule_blocklist_until ON vestibule_blocklist (until_us);

-- Private keys, encrypted under a master key.
CREATE TABLE vestibule_signing_keys (
	purpose       TEXT COLLATE "C" NOT NULL,
	id            TEXT COLLATE "C" NOT NULL,
	algorithm     TEXT COLLATE "C" NOT NULL,
	master_id     TEXT COLLATE "C" NOT NULL,
	sealed        BYTEA            NOT NULL,
	created_us    BIGINT           NOT NULL,
	signs_from_us BIGINT           NOT NULL,
	expires_us    BIGINT           NOT NULL,
	PRIMARY KEY (purpose, id)
);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (2, 'lives', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
