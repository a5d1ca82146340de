-- Writes rows as they are. KEYS: from 4 on, the bucket of each domain.
-- ARGV: how many changes may stay in the log, origin of all, then domain and row of each.
local new, names = 0, {}
for i = 4, #KEYS do
  local at = (i - 4) * 2 + 3
  new = new + redis.call('HSET', KEYS[i], ARGV[at], ARGV[at + 1])
  names[#names + 1] = ARGV[at]
end
redis.call('HINCRBY', KEYS[3], 'rows', new)
changed('rows', table.concat(names, '\n'), ARGV[2], ARGV[1])
return {'ok', new}
