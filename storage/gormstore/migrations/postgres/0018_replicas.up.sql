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

-- The lifetimes of access tokens that were issued, each with the last time at which a process issued
-- such tokens. A revocation is remembered until the last of them has expired.
CREATE TABLE vestibule_token_lifetimes (
	lifetime_us BIGINT NOT NULL PRIMARY KEY CHECK (lifetime_us > 0),
	used_us     BIGINT NOT NULL
);

-- What changed last, where the row of the record does not tell when: 'subject' (the account: its roles,
-- whether it is enabled, its name), and 'client' (disabled or deleted). The kind 'since', with the ID '',
-- is the time from which on this table and the epochs have everything.
CREATE TABLE vestibule_changes (
	kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('subject', 'client', 'since')),
	id   TEXT COLLATE "C" NOT NULL,
	us   BIGINT           NOT NULL,
	PRIMARY KEY (kind, id)
);
CREATE INDEX vestibule_changes_us ON vestibule_changes (us);

-- An epoch is the time of the revocation.
-- Beside older programs: the index changes no result. Writes to the table wait while it is built, about
-- a second for a million accounts that have logged out everywhere.
CREATE INDEX vestibule_subjects_epoch ON vestibule_subjects (epoch);

-- A database without a login has issued no token, so nothing is missing.
-- Beside older programs: they do not use the table.
INSERT INTO vestibule_changes (kind, id, us)
SELECT 'since', '', CASE WHEN EXISTS (SELECT 1 FROM vestibule_families) THEN CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) ELSE 0 END;

-- Records when something changed. A trigger calls it for a row that its transaction has locked, so two
-- transactions lock rows of this table in the same order as those.
-- Beside older programs: they call it only through the triggers below.
CREATE FUNCTION vestibule_bus_changed(what TEXT, name TEXT) RETURNS VOID LANGUAGE sql AS $$
	INSERT INTO vestibule_changes AS c (kind, id, us) VALUES (what, name, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))
	ON CONFLICT (kind, id) DO UPDATE SET us = GREATEST(c.us, EXCLUDED.us)
$$;

-- As before, and records what changed.
-- Beside older programs: they get the same messages, and what they change is recorded too.
CREATE OR REPLACE FUNCTION vestibule_bus_row() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
	CASE TG_ARGV[0]
	WHEN 'subject' THEN
		IF TG_OP = 'INSERT' THEN
			PERFORM vestibule_bus_tell('subject ' || NEW.subject);
		ELSE
			PERFORM vestibule_bus_tell('subject ' || OLD.subject);
		END IF;
		IF TG_OP = 'UPDATE' THEN
			IF NEW.subject <> OLD.subject THEN
				PERFORM vestibule_bus_tell('subject ' || NEW.subject);
			END IF;
		END IF;
	WHEN 'digest' THEN
		PERFORM vestibule_bus_tell('key ' || TG_ARGV[1] || ' ' || encode(OLD.digest, 'hex'));
	WHEN 'family' THEN
		PERFORM vestibule_bus_tell(vestibule_bus_block('sid', OLD.id));
	WHEN 'client' THEN
		PERFORM vestibule_bus_changed('client', OLD.id);
		PERFORM vestibule_bus_tell(vestibule_bus_block('client', OLD.id));
	WHEN 'blocked' THEN
		PERFORM vestibule_bus_tell('key 6 ' || encode(NEW.block_key, 'hex'));
	ELSE
		-- Nothing is known about the rows that were there. Permissions and the rows of opaque credentials
		-- are read at each use.
		IF TG_OP = 'TRUNCATE' AND TG_TABLE_NAME NOT IN ('vestibule_static_tokens', 'vestibule_device_tokens', 'vestibule_sessions', 'vestibule_access_tokens',
			'vestibule_permissions', 'vestibule_group_members', 'vestibule_group_permissions') THEN
			PERFORM vestibule_bus_changed('since', '');
		END IF;
		PERFORM vestibule_bus_tell('all');
	END CASE;
	RETURN NULL;
END $$;

-- As before, and records what changed, also for a job that changes all accounts, whose messages are one.
-- Beside older programs: they get the same messages, and what they change is recorded too.
CREATE OR REPLACE FUNCTION vestibule_bus_account() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
	space TEXT;
	was TEXT;
	becomes TEXT;
BEGIN
	space := coalesce((SELECT name || ':' FROM vestibule_spaces WHERE table_name = TG_ARGV[1] AND NOT retired AND name <> ''), '');
	EXECUTE pg_catalog.format('SELECT CAST(($1).%I AS TEXT)', TG_ARGV[0]) INTO was USING OLD;
	PERFORM vestibule_bus_changed('subject', space || was);
	PERFORM vestibule_bus_tell('subject ' || space || was);
	IF TG_OP = 'UPDATE' THEN
		EXECUTE pg_catalog.format('SELECT CAST(($1).%I AS TEXT)', TG_ARGV[0]) INTO becomes USING NEW;
		IF becomes <> was THEN
			PERFORM vestibule_bus_changed('subject', space || becomes);
			PERFORM vestibule_bus_tell('subject ' || space || becomes);
		END IF;
	END IF;
	RETURN NULL;
END $$;

-- A key that is blocked again, or for longer. A deny set may have forgotten the first time.
-- Beside older programs: they get one more message. The lock of the table holds back writes for an
-- instant.
CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_blocklist FOR EACH ROW WHEN (NEW.until_us > OLD.until_us)
	EXECUTE FUNCTION vestibule_bus_row('blocked');

-- As in migration 17.
-- Beside older programs: the functions keep the rights that they had.
DO $$
DECLARE
	f REGPROCEDURE;
BEGIN
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = current_schema() AND p.proname IN ('vestibule_bus_changed', 'vestibule_bus_row', 'vestibule_bus_account')
	LOOP
		IF (SELECT prorettype FROM pg_catalog.pg_proc WHERE oid = f) = 'trigger'::REGTYPE THEN
			EXECUTE pg_catalog.format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp', f, current_schema());
		END IF;
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
	END LOOP;
END $$;

-- Audit events that were written in the transaction of their change (audit.Options.Required). IDs are
-- UUIDs of version 7, so they sort by time.
CREATE TABLE vestibule_audit (
	id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	us      BIGINT           NOT NULL,
	kind    TEXT COLLATE "C" NOT NULL,
	subject TEXT COLLATE "C" NOT NULL,
	client  TEXT COLLATE "C" NOT NULL,
	event   TEXT             NOT NULL
);
CREATE INDEX vestibule_audit_us ON vestibule_audit (us);
CREATE INDEX vestibule_audit_subject ON vestibule_audit (subject, us) WHERE subject <> '';

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (18, 'replicas', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
