-- The login in which the code was granted, for OpenID Connect's logout.
ALTER TABLE vestibule_codes ADD COLUMN session TEXT COLLATE "C" NOT NULL DEFAULT '';

-- The new tokens were used. The stored answer is now only for the client
-- address that made the exchange.
ALTER TABLE vestibule_refresh_tokens ADD COLUMN narrowed BOOLEAN NOT NULL DEFAULT FALSE;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (6, 'openid', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
