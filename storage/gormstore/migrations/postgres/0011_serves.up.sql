-- The resources that a client serves, and for which it may introspect tokens.
-- Existing clients serve none. "audiences" in "lists" has the resources that a
-- client may request tokens for.
ALTER TABLE vestibule_clients ADD COLUMN serves TEXT COLLATE "C";

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (11, 'serves', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
