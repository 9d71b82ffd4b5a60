-- Links of users of other issuers to accounts. A user of an issuer has at most one account in each
-- account table, whose name space is in the first column.
CREATE TABLE vestibule_links (
	space      TEXT COLLATE "C" NOT NULL,
	issuer     TEXT COLLATE "C" NOT NULL,
	foreign_id TEXT COLLATE "C" NOT NULL,
	id         TEXT COLLATE "C" NOT NULL,
	subject    TEXT COLLATE "C" NOT NULL,
	created_us BIGINT NOT NULL,
	PRIMARY KEY (space, issuer, foreign_id)
);
CREATE UNIQUE INDEX vestibule_links_subject ON vestibule_links (subject, id);

-- A cached link depends on its account, so the message is about the account.
-- Beside older programs: they do not use the table.
CREATE TRIGGER vestibule_bus_change AFTER UPDATE OR DELETE ON vestibule_links FOR EACH ROW EXECUTE FUNCTION vestibule_bus_row('subject');

-- Nothing is known about the rows that were there.
-- Beside older programs: they do not use the table.
CREATE TRIGGER vestibule_bus_truncate AFTER TRUNCATE ON vestibule_links FOR EACH STATEMENT EXECUTE FUNCTION vestibule_bus_row('all');

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (21, 'links', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
