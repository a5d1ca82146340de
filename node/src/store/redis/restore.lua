-- Writes rows as they are. KEYS: 4 unproven; from 5 on, the bucket of each domain.
-- ARGV: how many changes may stay in the log, origin of all, then domain and row of each.
local new, names = 0, {}
for i = 5, #KEYS do
  local at = (i - 5) * 2 + 3
  new = new + redis.call('HSET', KEYS[i], ARGV[at], ARGV[at + 1])
  names[#names + 1] = ARGV[at]
  follow(KEYS[4], ARGV[at], ARGV[at + 1])
end
redis.call('HINCRBY', KEYS[3], 'rows', new)
changed('rows', table.concat(names, '\n'), ARGV[2], ARGV[1])
return {'ok', new}
