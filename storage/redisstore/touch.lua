-- Records a use of a session, by the rules of storage.Sessions.TouchSession.
--
-- KEYS  the content
-- ARGV  seen, expires and before, in microseconds; the new expiry of the row, "as it is" if the row
--       could not be extended, or "" if that was not tried; milliseconds that the content outlives
--       its expiry
-- Returns 0 if there is nothing to record, 1 if the use was recorded, and 2, without a change, if
-- the row expires before the session would.
local held = redis.call('HMGET', KEYS[1], 's', 'e', 'n', 'u')
if not held[1] then return 0 end
local was, ends, last, row = tonumber(held[1]), tonumber(held[2]), tonumber(held[3]), tonumber(held[4])
local seen, before = tonumber(ARGV[1]), tonumber(ARGV[3])
if seen >= ends or seen >= last or was > before then return 0 end
local correct = before > seen
if correct and was <= seen then return 0 end
local to = ARGV[2]
if tonumber(to) > last then to = held[3] end
if not correct and tonumber(to) <= ends then to = held[2] end
if tonumber(to) > row and ARGV[4] == '' then return 2 end
if ARGV[4] ~= '' and ARGV[4] ~= 'as it is' then
  local till = ARGV[4]
  if tonumber(till) > last then till = held[3] end
  redis.call('HSET', KEYS[1], 'u', till)
  row = tonumber(till)
end
if tonumber(to) > row then to = redis.call('HGET', KEYS[1], 'u') end
redis.call('HSET', KEYS[1], 's', ARGV[1], 'e', to)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(math.max(tonumber(to) - seen, 0) / 1000) + tonumber(ARGV[5])))
return 1
