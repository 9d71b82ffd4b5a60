-- The resources that a client is the resource server of, and whose tokens it may introspect.
-- Nobody has it by what was there before: "audiences" in "lists" is what it may ask tokens for.
ALTER TABLE vestibule_clients ADD COLUMN serves TEXT COLLATE "C";

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (11, 'serves', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
