-- Credentials of any scheme: the purpose is the scheme's name. Those from before are Knox tokens.
-- The table keeps its name, and purpose a default, so that programs of the version before work
-- during an upgrade.
ALTER TABLE vestibule_device_tokens ADD COLUMN purpose TEXT NOT NULL DEFAULT 'knox';

-- Data belongs to the scheme; NULL is none.
ALTER TABLE vestibule_device_tokens ADD COLUMN data BLOB;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (12, 'purposes', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
