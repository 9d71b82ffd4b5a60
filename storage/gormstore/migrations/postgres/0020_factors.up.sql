-- How the user logged in: the authentication context class ('' means unknown), and the methods of RFC
-- 8176 separated by spaces (NULL means unknown). Rows of earlier and of older programs have neither, so
-- routes that require a class or a method reject them.
ALTER TABLE vestibule_sessions ADD COLUMN acr TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE vestibule_sessions ADD COLUMN amr TEXT COLLATE "C";
ALTER TABLE vestibule_families ADD COLUMN acr TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE vestibule_families ADD COLUMN amr TEXT COLLATE "C";
ALTER TABLE vestibule_codes ADD COLUMN acr TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE vestibule_codes ADD COLUMN amr TEXT COLLATE "C";
ALTER TABLE vestibule_access_tokens ADD COLUMN acr TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE vestibule_access_tokens ADD COLUMN amr TEXT COLLATE "C";
ALTER TABLE vestibule_device_grants ADD COLUMN acr TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE vestibule_device_grants ADD COLUMN amr TEXT COLLATE "C";

-- The second factors of accounts, see storage.Factor: encrypted keys of authenticator apps, keyed
-- hashes of recovery codes, public keys. "step" is the last used time step or counter.
CREATE TABLE vestibule_factors (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	subject    TEXT COLLATE "C" NOT NULL,
	kind       TEXT COLLATE "C" NOT NULL,
	name       TEXT COLLATE "C" NOT NULL,
	secret     BYTEA NOT NULL,
	key_id     TEXT COLLATE "C" NOT NULL,
	step       BIGINT NOT NULL,
	confirmed  BOOLEAN NOT NULL,
	created_us BIGINT NOT NULL,
	used_us    BIGINT NOT NULL
);
CREATE INDEX vestibule_factors_subject ON vestibule_factors (subject);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (20, 'factors', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
