-- The message about a client whose record changed but that was neither disabled nor enabled: a cache
-- that keeps clients has an old secret or an old list. Signed access tokens do not depend on it, so
-- vestibule_changes does not record it.
-- Beside older programs: they call it only through the trigger below.
CREATE FUNCTION vestibule_bus_client() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
	PERFORM vestibule_bus_tell(vestibule_bus_block('client', OLD.id));
	RETURN NULL;
END $$;

-- Beside older programs: they remove the opaque access tokens of the client from their cache, as after
-- their own changes of a client. The table of clients is small, and its lock lasts for a moment.
CREATE TRIGGER vestibule_bus_content AFTER UPDATE ON vestibule_clients FOR EACH ROW
	WHEN (OLD.* IS DISTINCT FROM NEW.* AND NEW.disabled = OLD.disabled AND NEW.revoked_us = OLD.revoked_us AND NEW.id = OLD.id) EXECUTE FUNCTION vestibule_bus_client();

INSERT INTO vestibule_migrations (version, name, applied_us)
VALUES (19, 'clients', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT));
