-- Sessions of browsers. If the subject is NULL, the session is anonymous.
CREATE TABLE vestibule_sessions (
	digest       BYTEA            NOT NULL PRIMARY KEY,
	id           TEXT COLLATE "C" NOT NULL UNIQUE,
	subject      TEXT COLLATE "C",
	epoch        BIGINT           NOT NULL,
	data         BYTEA,
	version      BIGINT           NOT NULL,
	created_us   BIGINT           NOT NULL,
	auth_time_us BIGINT           NOT NULL,
	last_seen_us BIGINT           NOT NULL,
	expires_us   BIGINT           NOT NULL,
	ends_us      BIGINT           NOT NULL,
	user_agent   TEXT COLLATE "C" NOT NULL,
	address      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX vestibule_sessions_subject ON vestibule_sessions (subject) WHERE subject IS NOT NULL;
CREATE INDEX vestibule_sessions_expires ON vestibule_sessions (expires_us);

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (3, 'sessions', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
