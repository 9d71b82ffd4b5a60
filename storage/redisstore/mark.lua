-- Adds a mark to a set. A mark is a field whose value is the stamp, of 16 bytes, the time, a colon
-- and the expiry. Times are microseconds of the caller's clock.
--
-- KEYS  the set
-- ARGV  member, stamp, time, now, lifetime, largest number of marks
local all = redis.call('HGETALL', KEYS[1])
local seen, now, ttl, keep = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local marks, latest = {}, 0
for i = 1, #all, 2 do
  local at, ends = string.match(string.sub(all[i + 1], 17), '^(%-?%d+):(%-?%d+)$')
  at, ends = tonumber(at), tonumber(ends)
  if not ends or now >= ends then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] == ARGV[1] then
    seen = math.max(seen, at)
  else
    marks[#marks + 1] = {all[i], at, ends}
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. string.format('%.0f:%.0f', seen, seen + ttl))
marks[#marks + 1] = {ARGV[1], seen, seen + ttl}
while #marks > keep do
  local oldest = 1
  for i = 2, #marks do
    if marks[i][2] < marks[oldest][2] then oldest = i end
  end
  redis.call('HDEL', KEYS[1], marks[oldest][1])
  table.remove(marks, oldest)
end
for i = 1, #marks do latest = math.max(latest, marks[i][3]) end
if #marks > 0 then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, math.ceil((latest - now) / 1000))))
end
return 0
