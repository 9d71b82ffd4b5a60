-- How the user logged in: the authentication context class ('' means unknown), and the methods of RFC
-- 8176 separated by spaces (NULL means unknown). Rows of earlier and of older programs have neither, so
-- routes that require a class or a method reject them.
ALTER TABLE vestibule_sessions ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE vestibule_sessions ADD COLUMN amr TEXT;
ALTER TABLE vestibule_families ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE vestibule_families ADD COLUMN amr TEXT;
ALTER TABLE vestibule_codes ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE vestibule_codes ADD COLUMN amr TEXT;
ALTER TABLE vestibule_access_tokens ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE vestibule_access_tokens ADD COLUMN amr TEXT;
ALTER TABLE vestibule_device_grants ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE vestibule_device_grants ADD COLUMN amr TEXT;

-- The second factors of accounts, see storage.Factor: encrypted keys of authenticator apps, keyed
-- hashes of recovery codes, public keys. "step" is the last used time step or counter.
CREATE TABLE vestibule_factors (
	id         TEXT NOT NULL PRIMARY KEY,
	subject    TEXT NOT NULL,
	kind       TEXT NOT NULL,
	name       TEXT NOT NULL,
	secret     BLOB NOT NULL,
	key_id     TEXT NOT NULL,
	step       INTEGER NOT NULL,
	confirmed  BOOLEAN NOT NULL,
	created_us INTEGER NOT NULL,
	used_us    INTEGER NOT NULL
);
CREATE INDEX vestibule_factors_subject ON vestibule_factors (subject);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (20, 'factors', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
