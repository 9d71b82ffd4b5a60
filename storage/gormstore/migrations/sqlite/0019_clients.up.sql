-- Messages between replicas need PostgreSQL. The file keeps the numbers of both databases equal.
INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (19, 'clients', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
