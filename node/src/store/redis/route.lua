-- Writes (with JSON) or deletes (without) a route. KEYS: 4 routes.
-- ARGV: id, version that it must have now (0: it must not exist), JSON, whether .* is open then.
local old = redis.call('HGET', KEYS[4], ARGV[1])
local version = old and cjson.decode(old).version or 0
if ARGV[2] ~= '0' and not old then
  return {'none', 0}
end
if version ~= tonumber(ARGV[2]) then
  return {'conflict', version}
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[4], ARGV[1])
else
  redis.call('HSET', KEYS[4], ARGV[1], ARGV[3])
end
if ARGV[1] == '0' then
  redis.call('HSET', KEYS[3], 'open', ARGV[4])
end
return {'ok', changed('routes')}
