-- Locks by name need PostgreSQL; with SQLite a transaction is the only writer. The file keeps the
-- numbers of both databases equal.
INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (18, 'locks', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
