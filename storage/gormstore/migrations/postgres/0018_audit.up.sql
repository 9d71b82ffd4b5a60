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
VALUES (18, 'audit', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
