-- When the client was last disabled or enabled. Signed access tokens that it
-- got for itself before that time are rejected.
ALTER TABLE vestibule_clients ADD COLUMN revoked_us INTEGER NOT NULL DEFAULT 0;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (15, 'revoked', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
