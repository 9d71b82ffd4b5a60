-- The live families of a subject, by purpose and client, the last created first: an account can have
-- very many, of which one or a few are read.
CREATE INDEX vestibule_families_live ON vestibule_families (subject, purpose, client, epoch, created_us DESC, id) WHERE NOT ended;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (14, 'families', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
