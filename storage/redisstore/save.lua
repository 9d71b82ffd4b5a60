-- Replaces the data of a session that has the version.
--
-- KEYS  the content
-- ARGV  version, next version, data
-- Returns 0 if there is no content, 2 if it has another version, and 1 if the data was replaced.
local version = redis.call('HGET', KEYS[1], 'v')
if not version then return 0 end
if version ~= ARGV[1] then return 2 end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'd', ARGV[3])
return 1
