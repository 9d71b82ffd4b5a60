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

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (20, 'factors', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
