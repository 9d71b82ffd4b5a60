-- The name of each account table in subjects. A retired name is never used
-- again. The epoch is the minimum epoch of the space's subjects.
CREATE TABLE vestibule_spaces (
	name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	table_name  TEXT COLLATE "C" NOT NULL,
	id_column   TEXT COLLATE "C" NOT NULL,
	id_type     TEXT COLLATE "C" NOT NULL,
	epoch       BIGINT           NOT NULL DEFAULT 0,
	retired     BOOLEAN          NOT NULL DEFAULT FALSE,
	recorded_us BIGINT           NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX vestibule_spaces_table ON vestibule_spaces (table_name) WHERE NOT retired;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (10, 'spaces', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
