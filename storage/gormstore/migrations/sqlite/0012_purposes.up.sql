-- The name of the credential's scheme. Rows from before this column are Knox
-- tokens. The table keeps its name, and this column has a default, so that
-- programs of the previous version work during an upgrade.
ALTER TABLE vestibule_device_tokens ADD COLUMN purpose TEXT NOT NULL DEFAULT 'knox';

-- Data of the scheme; NULL means that there is none.
ALTER TABLE vestibule_device_tokens ADD COLUMN data BLOB;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (12, 'purposes', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
