-- The name of the credential's scheme. Rows from before this column are Knox
-- tokens. The table keeps its name, and this column has a default, so that
-- programs of the previous version work during an upgrade.
ALTER TABLE vestibule_device_tokens ADD COLUMN purpose TEXT COLLATE "C" NOT NULL DEFAULT 'knox';

-- Data of the scheme; NULL means that there is none.
ALTER TABLE vestibule_device_tokens ADD COLUMN data BYTEA;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (12, 'purposes', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
