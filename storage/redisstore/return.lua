-- Gives back one unit to each cell. A cell that does not exist is full.
--
-- KEYS  the cells
-- ARGV  for each key the interval between units, in microseconds
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if held then
    local full = tonumber(held) - tonumber(ARGV[i])
    if full <= now then
      redis.call('DEL', KEYS[i])
    else
      redis.call('SET', KEYS[i], string.format('%.0f', full), 'PX', string.format('%.0f', math.ceil((full - now) / 1000)))
    end
  end
end
return 0
