-- Deletes the content of a session that was replaced.
--
-- KEYS  the content
-- Returns its version and data, false without content.
local found = redis.call('HMGET', KEYS[1], 'v', 'd')
redis.call('UNLINK', KEYS[1])
return found
