-- The login that a code was granted in, for OpenID Connect's logout.
ALTER TABLE vestibule_codes ADD COLUMN session TEXT NOT NULL DEFAULT '';

-- What the exchange gave was used: its answer is for the claimer's source alone.
ALTER TABLE vestibule_refresh_tokens ADD COLUMN narrowed BOOLEAN NOT NULL DEFAULT FALSE;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (6, 'openid', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
