-- The name of each account table in subjects. A retired name is never used
-- again. The epoch is the minimum epoch of the space's subjects.
CREATE TABLE vestibule_spaces (
	name        TEXT NOT NULL PRIMARY KEY,
	table_name  TEXT NOT NULL,
	id_column   TEXT NOT NULL,
	id_type     TEXT NOT NULL,
	epoch       INTEGER NOT NULL DEFAULT 0,
	retired     BOOLEAN NOT NULL DEFAULT FALSE,
	recorded_us INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE UNIQUE INDEX vestibule_spaces_table ON vestibule_spaces (table_name) WHERE NOT retired;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (10, 'spaces', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
