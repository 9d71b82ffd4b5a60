-- The codes of a subject for a client that nobody has used: used ones stay as long as a grant can, and
-- an account can have very many.
CREATE INDEX vestibule_codes_open ON vestibule_codes (subject, client) WHERE NOT used;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (16, 'codes', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
