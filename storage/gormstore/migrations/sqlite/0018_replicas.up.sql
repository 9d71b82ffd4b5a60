-- The lifetimes of access tokens that were issued, each with the last time at which a process issued
-- such tokens. A revocation is remembered until the last of them has expired.
CREATE TABLE vestibule_token_lifetimes (
	lifetime_us INTEGER NOT NULL PRIMARY KEY CHECK (lifetime_us > 0),
	used_us     INTEGER NOT NULL
);

-- What changed last, where the row of the record does not tell when: 'subject' (the roles of the
-- account), and 'client' (disabled or deleted). The kind 'since', with the ID '', is the time from
-- which on this table and the epochs have everything.
CREATE TABLE vestibule_changes (
	kind TEXT    NOT NULL CHECK (kind IN ('subject', 'client', 'since')),
	id   TEXT    NOT NULL,
	us   INTEGER NOT NULL,
	PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX vestibule_changes_us ON vestibule_changes (us);

-- An epoch is the time of the revocation.
-- Beside older programs: the index changes no result. Writes to the table wait while it is built, about
-- a second for a million accounts that have logged out everywhere.
CREATE INDEX vestibule_subjects_epoch ON vestibule_subjects (epoch);

-- A database without a login has issued no token, so nothing is missing.
-- Beside older programs: they do not use the table.
INSERT INTO vestibule_changes (kind, id, us)
SELECT 'since', '', CASE WHEN EXISTS (SELECT 1 FROM vestibule_families) THEN CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) ELSE 0 END;

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
VALUES (18, 'replicas', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
