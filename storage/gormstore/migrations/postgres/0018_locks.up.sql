-- Locks by name. A transaction locks a row with SELECT … FOR UPDATE and holds it until it ends. The
-- table exists already if a program migrates: it locks a row before it does.
CREATE TABLE IF NOT EXISTS vestibule_locks (
	name TEXT COLLATE "C" NOT NULL PRIMARY KEY
);

-- The tables whose rows change and go all the time: vacuum starts at 1 percent of dead rows, not at 20,
-- and pages keep space for the next version of a row that is touched. A setting that an operator has
-- made stays.
-- Beside older programs: these settings change no result, and their lock lets reads and writes pass.
DO $$
DECLARE
	wanted RECORD;
BEGIN
	FOR wanted IN SELECT t.name, o.option, o.value
		FROM (VALUES ('vestibule_device_tokens', TRUE), ('vestibule_sessions', TRUE), ('vestibule_refresh_tokens', TRUE), ('vestibule_access_tokens', FALSE)) t (name, touched)
		JOIN (VALUES ('autovacuum_vacuum_scale_factor', '0.01', FALSE), ('autovacuum_vacuum_cost_limit', '2000', FALSE), ('fillfactor', '85', TRUE)) o (option, value, touched)
			ON t.touched OR NOT o.touched
		WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c, unnest(c.reloptions) r WHERE c.oid = to_regclass(t.name) AND r LIKE o.option || '=%')
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE %I SET (%s = %s)', wanted.name, wanted.option, wanted.value);
	END LOOP;
END $$;

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (18, 'locks', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
