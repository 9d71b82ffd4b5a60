-- Credentials of any scheme: the purpose is the scheme's name. Those from before are Knox tokens.
-- The table keeps its name, and purpose a default, so that programs of the version before work
-- during an upgrade.
ALTER TABLE vestibule_device_tokens ADD COLUMN purpose TEXT COLLATE "C" NOT NULL DEFAULT 'knox';

-- Data belongs to the scheme; NULL is none.
ALTER TABLE vestibule_device_tokens ADD COLUMN data BYTEA;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (12, 'purposes', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
