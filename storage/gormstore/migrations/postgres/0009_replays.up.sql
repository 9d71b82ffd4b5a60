-- Digests of proofs and assertions that were used and must not be used again.
CREATE TABLE vestibule_replays (
	replay_key BYTEA NOT NULL PRIMARY KEY,
	until_us   BIGINT NOT NULL
);
CREATE INDEX vestibule_replays_until ON vestibule_replays (until_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (9, 'replays', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
