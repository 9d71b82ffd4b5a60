-- Creates the content of a session. Without "replace" it changes nothing if there is content.
--
-- KEYS  the content
-- ARGV  "" or "replace"; last use, expiry and absolute expiry of the session, and expiry of its row,
--       in microseconds; lifetime of the content in milliseconds; data
-- Returns 1 if it was created.
if ARGV[1] == '' and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'v', '1', 's', ARGV[2], 'e', ARGV[3], 'n', ARGV[4], 'u', ARGV[5], 'd', ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1
