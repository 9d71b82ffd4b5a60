-- The codes of a subject for a client that nobody has used: used ones stay as long as a grant can, and
-- an account can have very many.
CREATE INDEX vestibule_codes_open ON vestibule_codes (subject, client) WHERE NOT used;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (16, 'codes', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
