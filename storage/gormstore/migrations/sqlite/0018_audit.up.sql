-- Audit events that were written in the transaction of their change (audit.Options.Required). IDs are
-- UUIDs of version 7, so they sort by time.
CREATE TABLE vestibule_audit (
	id      TEXT    NOT NULL PRIMARY KEY,
	us      INTEGER NOT NULL,
	kind    TEXT    NOT NULL,
	subject TEXT    NOT NULL,
	client  TEXT    NOT NULL,
	event   TEXT    NOT NULL
);
CREATE INDEX vestibule_audit_us ON vestibule_audit (us);
CREATE INDEX vestibule_audit_subject ON vestibule_audit (subject, us) WHERE subject <> '';

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (18, 'audit', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
