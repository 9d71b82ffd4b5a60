-- Digests of proofs and assertions that were used and must not be used again.
CREATE TABLE vestibule_replays (
	replay_key BLOB NOT NULL PRIMARY KEY,
	until_us   INTEGER NOT NULL
);
CREATE INDEX vestibule_replays_until ON vestibule_replays (until_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (9, 'replays', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
