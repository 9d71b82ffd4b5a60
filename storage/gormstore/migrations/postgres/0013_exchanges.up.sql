-- The number of exchanges before this token in its family, which is limited.
-- Existing families start again at 0.
ALTER TABLE vestibule_refresh_tokens ADD COLUMN nth BIGINT NOT NULL DEFAULT 0;

-- A family has many tokens, and at most one with a sealed answer.
CREATE INDEX vestibule_refresh_tokens_answer ON vestibule_refresh_tokens (family, sealed_until_us) WHERE sealed_until_us <> 0;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (13, 'exchanges', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
