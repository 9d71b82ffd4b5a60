-- Takes one unit of every cell of the first plan whose cells all have one, or none. Times are
-- microseconds of the server's clock; a cell's value is when it has recovered.
--
-- KEYS  one key for each different cell
-- ARGV  for each key the interval between units, and the limit; then, for each plan, the number of
--       its cells and their indexes in KEYS
-- Returns the index of the plan, from 0, or -1; the shortest wait; and the index of its cell.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local held = redis.call('MGET', unpack(KEYS))
local full, waits = {}, {}
for i = 1, #KEYS do
  local interval = tonumber(ARGV[2 * i - 1])
  local capacity = interval * tonumber(ARGV[2 * i])
  local at = tonumber(held[i] or now)
  -- A time further ahead than that of a used-up cell comes from a clock that was set back, for
  -- example by a failover. It counts as one unit left: a refusal stores nothing, so the cell would
  -- refuse until the clock has caught up.
  if at > now + capacity then at = now + capacity - interval end
  full[i] = math.max(at, now) + interval
  waits[i] = full[i] - now - capacity
end
local wait, last, plan, i = 0, 0, 0, 2 * #KEYS + 1
while ARGV[i] do
  local n, longest, of = tonumber(ARGV[i]), 0, 0
  for j = i + 1, i + n do
    local cell = tonumber(ARGV[j])
    if waits[cell] > longest then longest, of = waits[cell], cell end
  end
  if longest == 0 then
    for j = i + 1, i + n do
      local cell = tonumber(ARGV[j])
      redis.call('SET', KEYS[cell], string.format('%.0f', full[cell]), 'PX', string.format('%.0f', math.ceil((full[cell] - now) / 1000)))
    end
    return {plan, 0, 0}
  end
  if wait == 0 or longest < wait then wait, last = longest, of end
  plan, i = plan + 1, i + n + 1
end
return {-1, wait, last}
