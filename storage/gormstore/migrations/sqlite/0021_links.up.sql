-- Links of users of other issuers to accounts. A user of an issuer has at most one account in each
-- account table, whose name space is in the first column.
CREATE TABLE vestibule_links (
	space      TEXT NOT NULL,
	issuer     TEXT NOT NULL,
	foreign_id TEXT NOT NULL,
	id         TEXT NOT NULL,
	subject    TEXT NOT NULL,
	created_us INTEGER NOT NULL,
	PRIMARY KEY (space, issuer, foreign_id)
);
CREATE UNIQUE INDEX vestibule_links_subject ON vestibule_links (subject, id);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (21, 'links', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
