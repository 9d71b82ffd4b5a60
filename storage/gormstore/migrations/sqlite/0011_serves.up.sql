-- The resources that a client serves, and for which it may introspect tokens.
-- Existing clients serve none. "audiences" in "lists" has the resources that a
-- client may request tokens for.
ALTER TABLE vestibule_clients ADD COLUMN serves TEXT;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (11, 'serves', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
