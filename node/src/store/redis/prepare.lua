-- KEYS: 4 schema, 5 routes. ARGV: schema, route .* as JSON.
local found = tonumber(redis.call('GET', KEYS[4]) or '0')
if found > tonumber(ARGV[1]) then
  return {'newer', found}
end
if redis.call('HSETNX', KEYS[5], '0', ARGV[2]) == 1 then
  redis.call('HSET', KEYS[3], 'open', '0')
  changed('routes')
end
if redis.call('HEXISTS', KEYS[3], 'rows') == 0 then
  local rows = 0
  for bucket = 0, 4095 do
    rows = rows + redis.call('HLEN', 'openfed:d:' .. bucket)
  end
  redis.call('HSET', KEYS[3], 'rows', rows)
end
if found < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[4], ARGV[1])
end
return {'ready', current()}
