-- The courier, which informs the caches of all processes of changes: 'none',
-- 'notify' or 'outbox'. The table has one row. Every process with a cache must
-- use this courier, because the triggers write only its messages.
CREATE TABLE vestibule_bus (
	id      SMALLINT         NOT NULL PRIMARY KEY CHECK (id = 1),
	courier TEXT COLLATE "C" NOT NULL CHECK (courier IN ('none', 'notify', 'outbox'))
);
INSERT INTO vestibule_bus (id, courier) VALUES (1, 'none');

-- The last number of each shard of the outbox, with the random tags of that
-- number and of the number before it. By these tags a reader detects that a
-- restored backup has a different history.
CREATE TABLE vestibule_bus_shards (
	shard SMALLINT NOT NULL PRIMARY KEY,
	seq   BIGINT   NOT NULL,
	prev  UUID     NOT NULL,
	tag   UUID     NOT NULL
) WITH (fillfactor = 10);

-- Messages of the courier 'outbox', from the last ten minutes. A reader
-- continues after the last number that it has read.
CREATE TABLE vestibule_outbox (
	shard  SMALLINT NOT NULL,
	seq    BIGINT   NOT NULL,
	prev   UUID     NOT NULL,
	tag    UUID     NOT NULL,
	change TEXT     NOT NULL,
	us     BIGINT   NOT NULL,
	PRIMARY KEY (shard, seq)
);

-- Messages of running transactions. They get their numbers at the end of the transaction.
CREATE UNLOGGED TABLE vestibule_bus_pending (
	id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	change TEXT NOT NULL
);

-- The processes that receive changes.
CREATE TABLE vestibule_replicas (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	started_us BIGINT           NOT NULL,
	seen_us    BIGINT           NOT NULL,
	courier    TEXT COLLATE "C" NOT NULL,
	settings   TEXT COLLATE "C" NOT NULL,
	key_ids    TEXT COLLATE "C" NOT NULL,
	version    TEXT COLLATE "C" NOT NULL
);

-- In the order in which transactions lock rows, so that none of them waits for this one the other way
-- round.
LOCK TABLE vestibule_users, vestibule_clients, vestibule_subjects, vestibule_families, vestibule_static_tokens, vestibule_device_tokens, vestibule_sessions,
	vestibule_access_tokens, vestibule_blocklist, vestibule_permissions, vestibule_group_members, vestibule_group_permissions, vestibule_spaces IN SHARE ROW EXCLUSIVE MODE;

-- Returns the message about an entry of the blocklist: the digest of storage.BlockKeyOf(kind, "", id).
CREATE FUNCTION vestibule_bus_block(kind TEXT, id TEXT) RETURNS TEXT LANGUAGE sql STABLE AS $$
	SELECT 'key 6 ' || encode(sha256(int4send(octet_length(convert_to(kind, 'UTF8'))) || convert_to(kind, 'UTF8')
		|| int4send(0) || int4send(octet_length(convert_to(id, 'UTF8'))) || convert_to(id, 'UTF8')), 'hex')
$$;

-- Writes a message, which is sent if the transaction commits. A transaction writes each message once,
-- and "all" instead of more than 64. The setting holds what the transaction has written; it ends with
-- it, and a rollback to a savepoint restores it.
CREATE FUNCTION vestibule_bus_tell(change TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
	told TEXT := coalesce(current_setting('vestibule.told', TRUE), '');
	by_courier TEXT;
BEGIN
	IF told = 'all' OR change IS NULL OR strpos(told, chr(10) || change || chr(10)) > 0 THEN
		RETURN;
	END IF;
	IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
		SELECT courier INTO by_courier FROM vestibule_bus;
	ELSE -- The snapshot may be older than the courier; then this statement fails and the caller repeats.
		SELECT courier INTO by_courier FROM vestibule_bus FOR SHARE;
	END IF;
	IF by_courier IS NULL OR by_courier = 'none' THEN -- until the end of the transaction, since the table is read
		PERFORM set_config('vestibule.told', 'all', TRUE);
		RETURN;
	END IF;
	-- A message of NOTIFY has less than 8000 bytes.
	IF change = 'all' OR octet_length(change) > 2000 OR length(told) - length(replace(told, chr(10), '')) > 64 THEN
		change := 'all';
		told := 'all';
	ELSIF strpos(change, chr(10)) > 0 THEN -- it cannot be found again, but counts
		told := told || chr(10);
	ELSE
		told := CASE WHEN told = '' THEN chr(10) ELSE told END || change || chr(10);
	END IF;
	PERFORM set_config('vestibule.told', told, TRUE);
	IF by_courier = 'notify' THEN
		PERFORM pg_notify('vestibule_bus', change);
	ELSE
		INSERT INTO vestibule_bus_pending (change) VALUES (change);
	END IF;
END $$;

-- Gives a pending message the next number of its shard, at the end of the transaction, so that the row
-- of the shard is the last lock that a transaction waits for. It holds the row until it has committed.
-- So numbers have no gaps and are in the order of the commits.
CREATE FUNCTION vestibule_bus_number() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
	WITH numbered AS (
		INSERT INTO vestibule_bus_shards AS s (shard, seq, prev, tag) VALUES (txid_current() % 16, 1, gen_random_uuid(), gen_random_uuid())
		ON CONFLICT (shard) DO UPDATE SET seq = s.seq + 1, prev = s.tag, tag = EXCLUDED.tag
		RETURNING s.shard, s.seq, s.prev, s.tag
	)
	INSERT INTO vestibule_outbox (shard, seq, prev, tag, change, us)
	SELECT n.shard, n.seq, n.prev, n.tag, NEW.change, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) FROM numbered n
	ON CONFLICT (shard, seq) DO UPDATE SET prev = EXCLUDED.prev, tag = EXCLUDED.tag, change = EXCLUDED.change, us = EXCLUDED.us; -- of a number that somebody set back
	DELETE FROM vestibule_bus_pending WHERE id = NEW.id;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER vestibule_bus_number AFTER INSERT ON vestibule_bus_pending
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION vestibule_bus_number();
-- Also for changes of an account table that logical replication writes.
ALTER TABLE vestibule_bus_pending ENABLE ALWAYS TRIGGER vestibule_bus_number;

-- The message about a row: of a subject, of a digest with its kind, of a family, a client or a blocked
-- key, or about everything.
CREATE FUNCTION vestibule_bus_row() RETURNS TRIGGER LANGUAGE plpgsql AS $$
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
		PERFORM vestibule_bus_tell(vestibule_bus_block('client', OLD.id));
	WHEN 'blocked' THEN
		PERFORM vestibule_bus_tell('key 6 ' || encode(NEW.block_key, 'hex'));
	ELSE
		PERFORM vestibule_bus_tell('all');
	END CASE;
	RETURN NULL;
END $$;

-- The messages about deleted rows that had not expired: of the rows if they are few, otherwise of their
-- subjects or of their clients. The arguments are the message of one row, the condition that a row was
-- valid at the time $1, and the column of the client.
CREATE FUNCTION vestibule_bus_gone() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
	change TEXT;
BEGIN
	IF current_setting('vestibule.told', TRUE) = 'all' THEN
		RETURN NULL;
	END IF;
	FOR change IN EXECUTE pg_catalog.format(
		'WITH live AS (SELECT * FROM gone WHERE %1$s), few AS (SELECT count(*) <= 8 AS few FROM (SELECT 1 FROM live LIMIT 9) l),'
		' clients AS (SELECT count(DISTINCT subject) > 16 AND count(DISTINCT %3$s) BETWEEN 1 AND 16 AS fewer FROM live)'
		' SELECT DISTINCT CASE WHEN few OR coalesce(subject, '''') = '''' OR right(subject, 1) = '':'' THEN %2$s'
		' WHEN fewer AND %3$s <> '''' THEN vestibule_bus_block(''client'', %3$s) ELSE ''subject '' || subject END FROM live, few, clients LIMIT 66',
		TG_ARGV[1], TG_ARGV[0], TG_ARGV[2]) USING CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)
	LOOP
		PERFORM vestibule_bus_tell(change);
	END LOOP;
	RETURN NULL;
END $$;

-- The message about an account, whose subject has the name of the table's space. The arguments are the
-- column of the ID and the name of the table as vestibule_spaces has it.
CREATE FUNCTION vestibule_bus_account() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
	space TEXT;
	was TEXT;
	becomes TEXT;
BEGIN
	IF current_setting('vestibule.told', TRUE) = 'all' THEN -- a job that changes all accounts
		RETURN NULL;
	END IF;
	space := coalesce((SELECT name || ':' FROM vestibule_spaces WHERE table_name = TG_ARGV[1] AND NOT retired AND name <> ''), '');
	EXECUTE pg_catalog.format('SELECT CAST(($1).%I AS TEXT)', TG_ARGV[0]) INTO was USING OLD;
	PERFORM vestibule_bus_tell('subject ' || space || was);
	IF TG_OP = 'UPDATE' THEN
		EXECUTE pg_catalog.format('SELECT CAST(($1).%I AS TEXT)', TG_ARGV[0]) INTO becomes USING NEW;
		IF becomes <> was THEN
			PERFORM vestibule_bus_tell('subject ' || space || becomes);
		END IF;
	END IF;
	RETURN NULL;
END $$;

-- The rights of the owner, because the roles of other programs write to account tables; and a fixed
-- search path, so that nobody puts another table in front. Tables of Vestibule may be in any schema.
-- The other functions are called by these alone, and run with their rights and path.
DO $$
DECLARE
	f REGPROCEDURE;
BEGIN
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = current_schema() AND p.proname LIKE 'vestibule\_bus\_%'
	LOOP
		IF (SELECT prorettype FROM pg_catalog.pg_proc WHERE oid = f) = 'trigger'::REGTYPE THEN
			EXECUTE pg_catalog.format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp', f, current_schema());
		END IF;
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
	END LOOP;
	EXECUTE pg_catalog.format('CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_users FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)'
		' EXECUTE FUNCTION vestibule_bus_account(%L, %L)', 'id', current_schema() || '.vestibule_users');
	EXECUTE pg_catalog.format('CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_users FOR EACH ROW'
		' EXECUTE FUNCTION vestibule_bus_account(%L, %L)', 'id', current_schema() || '.vestibule_users');
END $$;

CREATE TRIGGER vestibule_bus_insert AFTER INSERT ON vestibule_subjects FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('subject');
CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_subjects FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION vestibule_bus_row('subject');
CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_subjects FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('subject');

CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_static_tokens FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION vestibule_bus_row('digest', '0');
CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_static_tokens FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('digest', '0');

-- A recorded use, and an expiry that moves forward, take nothing away.
CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_device_tokens FOR EACH ROW
	WHEN ((OLD.digest, OLD.id, OLD.subject, OLD.name, OLD.scopes, OLD.epoch, OLD.purpose, OLD.data, OLD.ttl_us, OLD.max_us, OLD.created_us)
		IS DISTINCT FROM (NEW.digest, NEW.id, NEW.subject, NEW.name, NEW.scopes, NEW.epoch, NEW.purpose, NEW.data, NEW.ttl_us, NEW.max_us, NEW.created_us)
		OR NEW.expires_us <> 0 AND (OLD.expires_us = 0 OR NEW.expires_us < OLD.expires_us))
	EXECUTE FUNCTION vestibule_bus_row('digest', '1');
CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_device_tokens REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_gone('''key 1 '' || encode(digest, ''hex'')', 'expires_us = 0 OR expires_us > $1', 'NULL::TEXT');

CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_sessions FOR EACH ROW
	WHEN ((OLD.digest, OLD.id, OLD.subject, OLD.epoch, OLD.data, OLD.version, OLD.auth_time_us, OLD.created_us, OLD.user_agent, OLD.address)
		IS DISTINCT FROM (NEW.digest, NEW.id, NEW.subject, NEW.epoch, NEW.data, NEW.version, NEW.auth_time_us, NEW.created_us, NEW.user_agent, NEW.address)
		OR NEW.expires_us < OLD.expires_us OR NEW.ends_us < OLD.ends_us)
	EXECUTE FUNCTION vestibule_bus_row('digest', '2');
CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_sessions REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_gone('''key 2 '' || encode(digest, ''hex'')', 'expires_us > $1 AND ends_us > $1', 'NULL::TEXT');

CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_access_tokens FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION vestibule_bus_row('digest', '3');
CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_access_tokens REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_gone('''key 3 '' || encode(digest, ''hex'')', 'expires_us > $1', 'client');

CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_families FOR EACH ROW WHEN (NEW.ended AND NOT OLD.ended OR NEW.id <> OLD.id) EXECUTE FUNCTION vestibule_bus_row('family');
CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_families REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_gone('vestibule_bus_block(''sid'', id)', 'NOT ended AND expires_us > $1', 'client');

CREATE TRIGGER vestibule_bus_insert AFTER INSERT ON vestibule_blocklist FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('blocked');

CREATE TRIGGER vestibule_bus_update AFTER UPDATE ON vestibule_clients FOR EACH ROW
	WHEN (NEW.disabled <> OLD.disabled OR NEW.revoked_us <> OLD.revoked_us OR NEW.id <> OLD.id) EXECUTE FUNCTION vestibule_bus_row('client');
CREATE TRIGGER vestibule_bus_delete AFTER DELETE ON vestibule_clients FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('client');

-- A cached list of permissions has those that were granted, so a grant is told too.
CREATE TRIGGER vestibule_bus_change AFTER INSERT OR UPDATE OR DELETE ON vestibule_permissions FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('subject');
CREATE TRIGGER vestibule_bus_change AFTER INSERT OR UPDATE OR DELETE ON vestibule_group_members FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('subject');
CREATE TRIGGER vestibule_bus_change AFTER INSERT OR UPDATE OR DELETE ON vestibule_group_permissions FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_change AFTER INSERT OR UPDATE OR DELETE ON vestibule_spaces FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');

CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_users FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_subjects FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_static_tokens FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_device_tokens FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_sessions FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_access_tokens FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_families FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_clients FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_permissions FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_group_members FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_group_permissions FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_spaces FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (17, 'bus', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
